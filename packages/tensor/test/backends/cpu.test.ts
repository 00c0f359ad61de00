import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import * as T from "../../src/index.ts";
import { seeded } from "../../src/testing.ts";
import { erfReference } from "../reference/arrays.ts";
import { everything, sameBits } from "./everything.ts";

function deviceWith(options: Parameters<typeof CpuBackend.create>[0]): T.Device {
  return new T.Device(CpuBackend.create(options));
}

describe("threads", () => {
  it("gives the same bits on any number of them", async () => {
    const reference = deviceWith({ threads: 1 });
    const expected = await everything(reference);
    reference.destroy();
    for (const threads of [2, 3, 5]) {
      const device = deviceWith({ threads });
      expect(device.info.adapter).toContain(`${threads} threads`);
      for (let round = 0; round < 2; round++) {
        const results = await everything(device);
        for (const [name, values] of Object.entries(expected)) {
          expect([name, sameBits(results[name]!, values)]).toEqual([name, true]);
        }
      }
      device.destroy();
    }
  });
});

/** Distance from the exact value in units of the last place of the f32 nearest to it. */
function ulps(actual: number, exact: number): number {
  const size = Math.max(Math.abs(exact), 2 ** -126);
  return Math.abs(actual - exact) / 2 ** (Math.floor(Math.log2(size)) - 23);
}

describe("functions", () => {
  const cases: readonly [
    string,
    (x: T.Tensor) => T.Tensor,
    (x: number) => number,
    readonly [number, number],
    number,
  ][] = [
    ["exp", T.exp, Math.exp, [-87, 88], 2],
    ["log", T.log, Math.log, [1e-30, 50], 2],
    ["erf", T.erf, erfReference, [-5, 5], 2.1],
    ["erf near 0", T.erf, erfReference, [-0.01, 0.01], 2.1],
    ["tanh", T.tanh, Math.tanh, [-6, 6], 2],
    ["sigmoid", T.sigmoid, (x) => 1 / (1 + Math.exp(-x)), [-20, 20], 3],
    ["pow", (x) => T.pow(x, 2.4), (x) => x ** Math.fround(2.4), [0, 30], 1.5],
    ["inverse pow", (x) => T.pow(x, -7.3), (x) => x ** Math.fround(-7.3), [0.01, 30], 1.5],
  ];
  it.each([
    { relaxed: true, simd: 256 },
    { relaxed: true, simd: 128 },
    { relaxed: false, simd: 128 },
  ] as const)("are good to about 2 ulp, %o", async (options) => {
    const device = deviceWith({ threads: 1, ...options });
    const random = seeded(3);
    for (const [name, op, exact, [low, high], bound] of cases) {
      const x = Float32Array.from({ length: 20_001 }, () => low + (high - low) * random());
      const y = await op(device.tensor(x)).data();
      const worst = x.reduce((most, value, i) => Math.max(most, ulps(y[i]!, exact(value))), 0);
      expect(worst, name).toBeLessThanOrEqual(bound);
    }
    device.destroy();
  });

  it("keep NaN, infinities and zeros", async () => {
    const device = deviceWith({ threads: 1 });
    const values = [Number.NaN, Infinity, -Infinity, 0, 200, -200];
    const x = device.tensor(values);
    expect([...(await T.exp(x).data())]).toEqual([Number.NaN, Infinity, 0, 1, Infinity, 0]);
    expect([...(await T.log(x).data())].slice(0, 4)).toEqual([Number.NaN, Infinity, Number.NaN, -Infinity]);
    expect([...(await T.tanh(x).data())]).toEqual([Number.NaN, 1, -1, 0, 1, -1]);
    expect([...(await T.erf(x).data())]).toEqual([Number.NaN, 1, -1, 0, 1, -1]);
    expect([...(await T.pow(x, 0.3).data())].slice(0, 4)).toEqual([Number.NaN, Infinity, Infinity, 0]);
    expect([...(await T.maximum(x, 1).data())]).toEqual([Number.NaN, Infinity, 1, 1, 200, 1]);
    device.destroy();
  });
});

describe("auto", () => {
  it("is a hardware GPU where there is one, else the CPU, with the reason", async () => {
    const device = await T.Device.request({ backend: "auto", adapter: "auto" });
    if (device.info.backend === "cpu") expect(device.info.reason).toContain("no hardware GPU");
    else expect(device.info.kind).toBe("hardware");
    device.destroy();
  });

  it("says what it is", async () => {
    const device = await T.Device.request({ backend: "cpu", threads: 2 });
    expect(device.info.adapter).toMatch(/^CPU, WASM SIMD( of 256 bits)?( \+ relaxed)?, 2 threads$/);
    device.destroy();
  });
});

describe("random words", () => {
  it("are the host's, wherever a draw begins", async () => {
    const device = deviceWith({ threads: 2 });
    const state = { key: [7, 9], counter: 2 ** 32 - 3, words: [] } as const;
    const words = await T.randBits(device, [4099], T.Rng.fromState(state)).data();
    let counter: number = state.counter;
    for (let i = 0; i < words.length; i += 4, counter++) {
      const expected = T.philox([counter % 2 ** 32, Math.floor(counter / 2 ** 32), 0, 0], state.key);
      for (let k = 0; k < 4 && i + k < words.length; k++) expect(words[i + k]).toBe(expected[k]);
    }
    device.destroy();
  });
});

describe("memory", () => {
  it("names the tensor when the address space is used up, and goes on after that", async () => {
    const device = deviceWith({ threads: 1, memoryLimit: 88 * 2 ** 20 });
    const held = Array.from({ length: 5 }, () => device.zeros([4, 2 ** 20]));
    expect(() => device.zeros([4, 2 ** 20], { label: "sixth" })).toThrow(
      /^sixth f32\[4, 1048576\]: no room for 16777216 bytes \(16 MiB\): 80 MiB are in use, and memoryLimit allows 88 MiB; use a smaller batch/,
    );
    // Two that are not neighbours do not make room for a large one, two neighbours do.
    held[0]!.dispose();
    held[2]!.dispose();
    expect(() => device.zeros([6, 2 ** 20])).toThrow("no room");
    held[1]!.dispose();
    const large = device.ones([6, 2 ** 20]);
    expect(await T.sum(large).item()).toBe(6 * 2 ** 20);
    device.destroy();
  });

  it("comes back from tensors that were forgotten outside of scopes", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const device = deviceWith({ threads: 1 });
    const x = device.ones([1000]);
    // More than are entered at once.
    for (let i = 0; i < 3000; i++) T.add(x, i).view();
    expect(device.memory().liveBuffers).toBe(3001);
    for (let i = 0; i < 100 && device.memory().liveBuffers > 1; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      collect();
    }
    expect(device.memory().liveBuffers).toBe(1);
    device.destroy();
  });

  it("is not read behind its end where elements lie far apart", async () => {
    const pixels = 3_000_000;
    const device = deviceWith({ threads: 1 });
    // The input lies at the end of the memory, and what is made of it where `below` was.
    const below = device.zeros([3 * pixels]);
    const planes = device.ones([3, pixels]);
    below.dispose();
    const sum = await T.sum(T.add(T.transpose(planes, 0, 1), 1)).item();
    expect(sum).toBe(6 * pixels);
    const wide = device.ones([1, 2, 3, 2_000_000]);
    const filtered = T.conv2d(wide, device.ones([2, 1, 1, 1]), { groups: 2, stride: [1, 400_000] });
    expect(filtered.shape).toEqual([1, 2, 3, 5]);
    expect(await T.sum(filtered).item()).toBe(30);
    device.destroy();
  });

  it("ends at 4 GiB with a clear error", () => {
    const device = deviceWith({ threads: 1 });
    const take = (): unknown => device.backend.allocate(2 ** 30, "quarter f32[268435456]");
    const held = [take(), take(), take()];
    expect(held.length).toBe(3);
    expect(take).toThrow(/^quarter f32\[268435456\]: no room for 1073741824 bytes .* ends at 4096 MiB/);
    expect(() => device.backend.allocate(2 ** 32, "all f32[1073741824]")).toThrow("is over this adapter's limit");
    device.destroy();
  });

  it("reuses what a steady step frees", async () => {
    const device = deviceWith({ threads: 1 });
    const x = device.ones([300, 70]);
    const step = (): void =>
      void T.scope(() => T.detach(T.sum(T.softmax(T.matmul(x, T.transpose(x, 0, 1)), -1)))).dispose();
    for (let i = 0; i < 3; i++) step();
    await device.sync();
    const before = device.memory();
    for (let i = 0; i < 5; i++) step();
    await device.sync();
    expect(device.memory()).toEqual(before);
    device.destroy();
  });
});

describe("f16", () => {
  it("rounds to even, keeps subnormals, infinities and NaN", async () => {
    const device = deviceWith({ threads: 1 });
    const values = [1, -2.5, 1 / 3, 65504, 65519, 65520, 6e-8, 2e-8, 6.1e-5, 5.9e-5, -0, Infinity, Number.NaN];
    const viaHost = await device.tensor(values, [values.length], { dtype: "f16" }).data();
    const viaDevice = await T.cast(device.tensor(values), "f16").data();
    expect([...viaDevice]).toEqual([...viaHost]);
    expect([...(await T.cast(T.cast(device.tensor(values), "f16"), "f32").data())]).toEqual([...viaHost]);
    device.destroy();
  });
});
