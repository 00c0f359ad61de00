import { describe, expect, it } from "vitest";
import { spawnThread } from "#platform";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import { CpuEngine, type EngineOptions } from "../../src/backends/cpu/engine.ts";
import { kernel } from "../../src/backends/cpu/kernel.ts";
import { CODE_END, MAP } from "../../src/backends/cpu/memory.ts";
import { createRunner } from "../../src/backends/cpu/runner.ts";
import type { Block } from "../../src/backends/cpu/storage.ts";
import { i32 } from "../../src/backends/cpu/wasm/values.ts";
import { env } from "../../src/env.ts";
import * as T from "../../src/index.ts";
import type { Thread } from "../../src/platform/thread.ts";
import { seeded } from "../../src/testing.ts";

/** A unit mixes its number into a word of its own, and takes a time of its own; threads leave a mark. */
const mixKernel = kernel("mix", { x: "i32", salt: "i32", turns: "i32", seen: "i32" }, (f, { x, salt, turns, seen }) => {
  f.store(f.let(seen.add(f.thread.shl(2))), i32(1));
  f.units((unit) => {
    const at = f.let(x.add(unit.shl(2)));
    const word = f.let(at.i32());
    f.range(0, turns.add(unit.and(7)), 1, (i) => f.set(word, word.mul(1664525).add(salt).add(i)));
    f.store(at, word.add(unit));
  });
});

const WORDS = 512;

/** Thousands of small batches of every form: cut into chunks, or several launches in one chunk, or both. */
function mixed(threads: number): Int32Array {
  const target = { relaxed: false, wide: false };
  const engine = new CpuEngine({ threads, shared: threads > 1, target, mayWait: true });
  const [block, warmUp, seen] = [WORDS, WORDS, threads].map((words) => {
    const block = engine.pool.take(4 * words, "words");
    engine.write(block, new Uint8Array(4 * words));
    return block;
  }) as [Block, Block, Block];
  const fixed = { salt: 1, turns: 100_000, seen: seen.place };
  // Threads take their time to start.
  for (let i = 0; i < 1000 && new Int32Array(engine.read(seen, 0, 4 * threads)).includes(0); i++) {
    engine.launch(mixKernel, { ...fixed, x: warmUp.place }, 8 * threads, 300_000);
  }
  expect([...new Int32Array(engine.read(seen, 0, 4 * threads))]).toEqual(new Array(threads).fill(1));
  const random = seeded(4);
  for (let batch = 0; batch < 4000; batch++) {
    const launches = 1 + Math.floor(4 * random());
    for (let i = 0; i < launches; i++) {
      const units = 1 + Math.floor(WORDS * random() ** 2);
      // Costs decide how launches are cut: some parallel, some not.
      const cost = random() < 0.6 ? 250_000 / units : 100;
      const args = { ...fixed, x: block.place, salt: Math.floor(1e9 * random()), turns: Math.floor(20 * random()) };
      engine.launch(mixKernel, args, units, cost);
    }
    engine.run();
  }
  const words = new Int32Array(engine.read(block, 0, 4 * WORDS));
  engine.destroy();
  return words;
}

const LAUNCH = { kernel: 0, args: 0, units: 1 };

describe("thousands of small batches", () => {
  it.each([2, 4, 7])("give the same bits on %i threads as on one", (threads) => {
    expect(mixed(threads)).toEqual(mixed(1));
  });
});

/** A device whose workers run another program than they should. */
function deviceWhere(change: (program: string) => string, options: Partial<EngineOptions> = {}): T.Device {
  const spawn: EngineOptions["spawn"] = (program, data) => {
    const changed = change(program);
    expect(changed).not.toBe(program);
    return spawnThread(changed, data);
  };
  return new T.Device(CpuBackend.create({ threads: 3, engine: { spawn, ...options } }));
}

/** The worker does `work` in the middle of the third chunk that it claims. */
const inChunk =
  (work: string) =>
  (program: string): string =>
    program.replace(
      /\brun\w*\(args,\s*begin,\s*end,\s*thread\)/,
      (call) => `((globalThis.n = (globalThis.n ?? 0) + 1) === 3 && (() => { ${work} })(), ${call})`,
    );

async function products(device: T.Device): Promise<void> {
  const a = device.ones([400, 400]);
  for (let i = 0; i < 20; i++) {
    T.matmul(a, a).dispose();
    const y = T.matmul(a, T.add(a, i));
    expect((await y.data())[399]).toBe(400 * (1 + i));
    y.dispose();
  }
}

/** The error with which work ends; workers take their time to start. */
async function untilItFails(device: T.Device): Promise<unknown> {
  try {
    for (let round = 0; round < 50; round++) await products(device);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("a memory that grows", () => {
  it("is looked at anew by every thread before the next piece of work, which may lie in the new part", () => {
    const memory = new WebAssembly.Memory({ initial: CODE_END / 65536, maximum: 65536, shared: true });
    const looks: number[] = [];
    // A thread that was not told of growing sees it when it grows by nothing.
    const seen = new Proxy(memory, {
      get: (target, name) => {
        if (name === "grow") return (delta: number) => looks.push(delta);
        return Reflect.get(target, name, target) as unknown;
      },
    });
    const runner = createRunner(seen, MAP, 0, true);
    // No kernel of that number is there: a piece of work that fails is enough.
    const work = (): boolean => runner.run([{ first: 0, entries: 1, units: 1, grain: 1, chunks: 1 }], [LAUNCH], 1000);
    expect([work(), work(), looks]).toEqual([true, true, [0]]);
    memory.grow(16);
    expect([work(), work(), looks]).toEqual([true, true, [0, 0]]);
  });

  it("while its workers start leaves none of them behind", { timeout: 120_000 }, async () => {
    for (let round = 0; round < 15; round++) {
      const device = new T.Device(CpuBackend.create({ threads: 5 }));
      T.scope(() => {
        // New memory is filled by a bulk instruction, which looks at the bounds that a thread knows.
        for (let i = 0; i < 16; i++) {
          T.keep(device.zeros([1_500_000 + 100_000 * i])).view();
          void device.backend.flush();
        }
      });
      await device.sync();
      device.destroy();
    }
  });
});

describe("a worker that dies", () => {
  const once = (message: string): RegExp =>
    new RegExp(
      `^DeviceError: ${message} one of: [a-z, -]+(: Error: a trap)?; this device cannot be used any more: ask for a new one with Device\\.request, [^\n]+$`,
    );

  const fails = async (device: T.Device, message: RegExp): Promise<void> => {
    const error = await untilItFails(device);
    expect(String(error)).toMatch(message);
    // It stays so, with the same error.
    expect(() => device.ones([4]).view()).toThrow(error as Error);
    await expect(device.sync()).rejects.toBe(error);
    device.destroy();
  };

  it("in the middle of its work ends the work with an error", async () => {
    const device = deviceWhere(inChunk("process.exit(1);"));
    await fails(device, once("a worker thread of the CPU backend ended while it ran"));
  });

  it("without a word, too", async () => {
    const device = deviceWhere(inChunk("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);"), {
      patience: 200,
    });
    await fails(device, once("the CPU backend's worker threads did nothing for 0\\.\\d+ s while they ran"));
  });

  it("of a kernel that throws, is not waited for", async () => {
    const trap = inChunk("throw new Error('a trap');");
    await fails(deviceWhere(trap), once("a kernel failed on the CPU,"));
    // The reason comes along.
    expect(String(await untilItFails(deviceWhere(trap)))).toContain(": Error: a trap;");
  });

  it("while it has nothing to do is not missed", async () => {
    const threads: Thread[] = [];
    const spawn: EngineOptions["spawn"] = (program, data) => {
      threads.push(spawnThread(program, data));
      return threads.at(-1)!;
    };
    const device = new T.Device(CpuBackend.create({ threads: 3, engine: { spawn } }));
    await products(device);
    expect(threads.length).toBe(2);
    threads[0]!.stop();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await products(device);
    threads[1]!.stop();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await products(device);
    device.destroy();
  });

  it("before it begins is not missed either", async () => {
    const device = deviceWhere(() => "throw new Error('not today');");
    await products(device);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await products(device);
    device.destroy();
  });
});

it("the poison of released memory does not hide a failure", async () => {
  expect(env().poison).toBe(true);
  const device = deviceWhere(inChunk("process.exit(1);"));
  const x = device.ones([1000]);
  x.view();
  expect(String(await untilItFails(device))).toContain("a worker thread of the CPU backend ended");
  x.dispose();
  device.destroy();
});
