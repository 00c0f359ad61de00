import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { fillFromFile } from "../../src/io/fill.ts";
import { openSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { bytesSource } from "../../src/io/source.ts";
import { storedEntry } from "../../src/io/stored.ts";
import { seeded } from "../../src/testing.ts";
import { type Failing, failing, MODULUS, mix, mixInPlace, SIZE } from "./failing-kernels.ts";

/** One launch that fails takes with it what depends on it, and nothing else. WebGPU on every run: it is about its errors. */

let device: T.Device;
let unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeEach(async () => {
  device = await T.Device.request({ backend: "webgpu" });
  unhandled = [];
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  device.destroy();
  await delay(5);
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

const whole = (value: number): T.Tensor =>
  device.tensor(
    Uint32Array.from({ length: SIZE }, () => value),
    [SIZE],
  );
const all = (value: number): number[] => new Array<number>(SIZE).fill(value);
const mixed = (a: number, b: number): number => (3 * a + 7 * b + 1) % MODULUS;

async function errorOf(work: Promise<unknown>): Promise<Error> {
  const outcome = await work.then(
    () => new Error("nothing failed"),
    (error: Error) => error,
  );
  expect(outcome).toBeInstanceOf(T.DeviceError);
  return outcome;
}

/** The error names what was to be computed, and says `says` of the kernel, in one line. */
function expectBlamed(error: Error, label: string, { says }: Failing): void {
  const prefix = `${label} u32[${SIZE}]: `;
  expect(error.message.slice(0, prefix.length)).toBe(prefix);
  expect(error.message.slice(prefix.length)).toMatch(says);
  expect(error.message).not.toContain("\n");
}

describe.each(failing)("a launch that $name", (bad) => {
  it("fails what depends on it, and nothing before, beside or after", async () => {
    const [a, b] = [whole(3), whole(5)];
    const before = mix(a, b);
    const lost = bad.run(before, a, "lost");
    const beside = mix(before, b);
    const dependent = mix(beside, lost);
    const farther = T.add(T.cast(dependent, "f32"), 1);
    const after = mix(beside, beside);
    const reads = [before, beside, after].map((x) => x.data());
    const errors = await Promise.all([lost, dependent, farther].map((x) => errorOf(x.data())));
    for (const error of errors) expectBlamed(error, "lost", bad);
    const first = mixed(3, 5);
    const second = mixed(first, 5);
    const found = await Promise.all(reads);
    expect(found.map((values) => [...values])).toEqual([first, second, mixed(second, second)].map(all));
    // Those who read it were told; there is nothing left to say.
    await device.sync();
    expect([...(await mix(after, a).data())]).toEqual(all(mixed(mixed(second, second), 3)));
    // It is the same the next time, when the kernel is known.
    expectBlamed(await errorOf(bad.run(a, b, "once more").data()), "once more", bad);
    expectBlamed(await errorOf(dependent.data()), "lost", bad);
    await device.sync();
  });

  it("is told once by the next sync when nobody reads what it was to write", async () => {
    const a = whole(3);
    T.scope(() => void bad.run(a, a, "unread"));
    expectBlamed(await errorOf(device.sync()), "unread", bad);
    await device.sync();
    for (const label of ["one", "two", "two", "three"]) T.scope(() => void bad.run(a, a, label));
    const { message } = await errorOf(device.sync());
    const labels = message.split("\n").map((line) => line.slice(0, line.indexOf(" ")));
    expect(labels).toEqual(["one", "two", "three"]);
    await device.sync();
    expect([...(await mix(a, a).data())]).toEqual(all(mixed(3, 3)));
  });

  it("leaves what is written in place with it failed, until that is written as a whole", async () => {
    const [y, a] = [whole(1), whole(2)];
    mixInPlace(y, a);
    const before = y.data();
    mixInPlace(y, bad.run(a, a, "lost"));
    mixInPlace(y, a);
    expect([...(await before)]).toEqual(all(8));
    expectBlamed(await errorOf(y.data()), "lost", bad);
    T.assign(y, a);
    expect([...(await y.data())]).toEqual(all(2));
  });
});

/** Parameters after some steps, while `disturb` does what it likes in between. */
async function trained(disturb: (step: number) => void): Promise<T.HostArray[]> {
  const rng = new T.Rng(4);
  const x = T.randn(device, [32, 8], rng);
  const target = T.randn(device, [32, 3], rng);
  const weights = [T.randn(device, [8, 16], rng), T.randn(device, [16, 3], rng)].map((w) => T.keep(T.requireGrad(w)));
  const moments = weights.map((w) => [0, 1].map(() => device.zeros(w.shape)) as [T.Tensor, T.Tensor]);
  for (let step = 1; step <= 12; step++) {
    T.scope(() => {
      disturb(step);
      const y = T.matmul(T.gelu(T.matmul(x, weights[0]!)), weights[1]!);
      disturb(step);
      const gradients = T.backward(T.mean(T.square(T.sub(y, target))), { wrt: weights });
      weights.forEach((param, i) => {
        const [expAvg, expAvgSq] = moments[i]!;
        const settings = { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, decoupled: false, step };
        T.adamStep({ param, grad: gradients.get(param)!, expAvg, expAvgSq, ...settings });
        disturb(step);
      });
    });
    if (step % 4 === 0) await device.sync().catch(() => {});
  }
  return Promise.all(weights.map((w) => w.data()));
}

it("training goes on to the same bits beside launches that fail", async () => {
  const undisturbed = await trained(() => {});
  const a = whole(3);
  let count = 0;
  const foreseen = failing.filter((bad) => bad.foreseen);
  const disturbed = await trained(() => void foreseen[count++ % foreseen.length]!.run(a, a, "lost"));
  expect(count).toBe(48);
  expect(disturbed).toEqual(undisturbed);
});

it("weights that failed are loaded again from a file", async () => {
  const bad = failing[0]!;
  const weight = whole(1);
  mixInPlace(weight, bad.run(weight, weight, "lost"));
  await errorOf(weight.data());
  const values = Int32Array.from({ length: SIZE }, (_, i) => i);
  const file = await openSafetensors(bytesSource(writeSafetensors([["w", storedEntry(values, [SIZE])]])));
  await fillFromFile(weight, file.tensors.get("w")!);
  expect([...(await weight.data())]).toEqual([...values]);
  await device.sync();
});

/** What a tensor holds in all its places, or the label of the launch for which it has nothing. */
type Shadow = { readonly value: number } | { readonly lost: string; readonly bad: Failing };

describe("among launches at random", () => {
  it.each([
    {
      name: "what is known beforehand, however much is under way",
      ways: failing.filter((bad) => bad.foreseen),
      burst: 1000,
    },
    { name: "everything, in short bursts", ways: failing, burst: 25 },
  ])("exactly those fail that should: $name", async ({ ways, burst }) => {
    let failures = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const random = seeded(seed);
      const pick = <X>(items: readonly X[]): X => items[Math.floor(random() * items.length)]!;
      const live: { x: T.Tensor; holds: Shadow }[] = [];
      const add = (x: T.Tensor, holds: Shadow): void => void live.push({ x, holds });
      const reads: { read: Promise<T.HostArray | Error>; holds: Shadow }[] = [];
      const read = ({ x, holds }: (typeof live)[number]): void => {
        const read = x.data().catch((error: Error) => error);
        reads.push({ read, holds });
      };
      const check = async (): Promise<void> => {
        for (const { read, holds } of reads.splice(0)) {
          const found = await read;
          if ("value" in holds) expect(found instanceof Error ? found.message : [...found]).toEqual(all(holds.value));
          else {
            expectBlamed(found as Error, holds.lost, holds.bad);
            failures++;
          }
        }
      };
      const first = (...shadows: Shadow[]): Shadow | undefined => shadows.find((shadow) => "lost" in shadow);
      const valueOf = (shadow: Shadow): number => ("value" in shadow ? shadow.value : 0);
      for (let i = 0; i < 4; i++) add(whole(i), { value: i });
      for (let launch = 1; launch <= 200; launch++) {
        const [a, b] = [pick(live), pick(live)];
        const chance = random();
        const lost = first(a.holds, b.holds);
        if (chance < 0.06) {
          const bad = pick(ways);
          const label = `lost-${launch}`;
          // The one that reads what it writes does not read b.
          const before = bad.name === "reads what it writes" ? first(a.holds) : lost;
          add(bad.run(a.x, b.x, label), before ?? { lost: label, bad });
        } else if (chance < 0.7) {
          add(mix(a.x, b.x), lost ?? { value: mixed(valueOf(a.holds), valueOf(b.holds)) });
        } else if (chance < 0.85) {
          if (a === b) continue;
          mixInPlace(b.x, a.x);
          // What has failed already keeps its first error.
          b.holds = first(b.holds, a.holds) ?? { value: (5 * valueOf(b.holds) + valueOf(a.holds) + 1) % MODULUS };
        } else if (chance < 0.9 && burst > 100) {
          // An upload ends what is submitted together.
          add(whole(launch), { value: launch });
        } else read(a);
        // What goes leaves its buffer to the next.
        while (live.length > 12) live.splice(Math.floor(random() * live.length), 1)[0]!.x.dispose();
        if (launch % burst === 0) {
          for (const each of live) read(each);
          await check();
        }
      }
      for (const each of live) read(each);
      await check();
      await device.sync().catch(() => {});
      for (const { x } of live) x.dispose();
    }
    expect(failures).toBeGreaterThan(300);
    expect(device.memory().liveBuffers).toBe(0);
    await device.sync();
  });
});

it("what only the driver finds out is never a wrong number, however much is under way", async () => {
  const bad = failing.find((each) => !each.foreseen)!;
  const a = whole(3);
  // All kernels are there, so that recording submits.
  await errorOf(bad.run(mix(a, a), a, "first").data());
  for (let round = 0; round < 5; round++) {
    const results: { x: T.Tensor; value: number }[] = [];
    let last = { x: a, value: 3 };
    const counter = { x: whole(1), value: 1 };
    let lost: T.Tensor | undefined;
    for (let i = 0; i < 700; i++) {
      if (i === 300) lost = bad.run(last.x, a, "lost");
      last = i % 50 === 0 ? { x: mix(a, a), value: mixed(3, 3) } : { x: mix(last.x, a), value: mixed(last.value, 3) };
      results.push(last);
      mixInPlace(counter.x, a);
      counter.value = (5 * counter.value + 4) % MODULUS;
    }
    results.push(counter);
    const outcomes = await Promise.allSettled(results.map(({ x }) => x.data()));
    let right = 0;
    outcomes.forEach((outcome, i) => {
      if (outcome.status === "fulfilled") {
        right++;
        expect([...outcome.value]).toEqual(all(results[i]!.value));
      } else {
        expect(String(outcome.reason)).toMatch(
          /did not run, being submitted together .*: lost u32\[64\]: kernel greedy/,
        );
      }
    });
    // One submission of about a hundred, what hangs on it up to the next fresh start, and what it was writing on in place.
    expect(right).toBeGreaterThan(400);
    expectBlamed(await errorOf(lost!.data()), "lost", bad);
    await device.sync().catch(() => {});
    expect([...(await mix(a, a).data())]).toEqual(all(mixed(3, 3)));
    for (const { x } of results) x.dispose();
    lost!.dispose();
    counter.x.dispose();
  }
});

describe("with DEPLSR_DEBUG", () => {
  const run = promisify(execFile);
  const program = `
import { Device } from "@deplsr/tensor";
import { failing, mix } from "./test/backends/failing-kernels.ts";
const device = await Device.request({ backend: "webgpu" });
const a = device.tensor(new Uint32Array(64).fill(3), [64]);
for (const bad of failing) {
  const good = mix(a, a);
  const lost = bad.run(good, a, "lost");
  const after = mix(good, good);
  const dependent = mix(lost, after);
  console.log("good", (await Promise.all([good, after].map((x) => x.data()))).map((values) => values[7]).join());
  await dependent.data().catch(({ message }) => console.log(message));
}
await device.sync();
console.log("done");
`;

  it.each(["1", "2"])("%s: errors hold the numbered source, and what is good is good", async (debug) => {
    const args = ["--import", "tsx", "--conditions", "@deplsr/source", "--input-type=module", "--eval", program];
    const cwd = fileURLToPath(new URL("../../", import.meta.url));
    const { stdout } = await run(process.execPath, args, { cwd, env: { ...process.env, DEPLSR_DEBUG: debug } });
    expect(stdout).toMatch(/^ +9 {2}fn main.*nothing; }$/m);
    expect(stdout.match(/^good 31,311$/gm)).toHaveLength(failing.length);
    for (const { says } of failing) {
      const lines = stdout.split("\n").filter((line) => line.startsWith("lost u32[64]: "));
      expect(lines.some((line) => says.test(line.slice("lost u32[64]: ".length)))).toBe(true);
    }
    expect(stdout).toContain("done");
  });
});
