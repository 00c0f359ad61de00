import { setFlagsFromString } from "node:v8";
import { describe, expect, it } from "vitest";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import * as T from "../../src/index.ts";
import { everything, sameBits } from "./everything.ts";

// V8 makes pairs when it optimises, which it does here from the first call on.
setFlagsFromString("--no-liftoff");

function deviceOf(simd: 128 | 256, threads: number): T.Device {
  const backend = CpuBackend.create({ simd, threads });
  expect(backend.engine.options.target.wide).toBe(simd === 256);
  return new T.Device(backend);
}

describe("vectors of 256 bits", () => {
  it("give the same bits as those of 128", async () => {
    const devices = [deviceOf(128, 2), deviceOf(256, 2)] as const;
    const [narrow, wide] = [await everything(devices[0]), await everything(devices[1])];
    for (const [name, values] of Object.entries(narrow)) {
      expect([name, sameBits(wide[name]!, values)]).toEqual([name, true]);
    }
    for (const device of devices) device.destroy();
  });
});

describe("a row's result", () => {
  it.each([128, 256] as const)("has the same bits whatever rows stand beside it, %d bits", async (simd) => {
    const device = deviceOf(simd, 1);
    const rng = new T.Rng(8);
    // More rows than a thin product takes, and more steps than are summed at once.
    const [rows, k, n] = [300, 801, 23];
    const [x, weight] = [T.randn(device, [rows, k], rng), T.randn(device, [n, k], rng)];
    const keys = T.randn(device, [61, 36], rng);
    const queries = T.randn(device, [rows, 36], rng);
    const ops: Record<string, (from: number, count: number) => T.Tensor> = {
      linear: (from, count) => T.linear(T.narrow(x, 0, from, count), weight),
      attention: (from, count) => T.attention(T.narrow(queries, 0, from, count), keys, keys),
      batch: (from, count) =>
        T.matmul(T.reshape(T.narrow(x, 0, from, 2 * Math.ceil(count / 2)), [2, -1, k]), T.transpose(weight, 0, 1)),
    };
    for (const [name, op] of Object.entries(ops)) {
      const all = await op(0, rows).data();
      const width = all.length / rows;
      for (const [from, count] of [
        [0, 1],
        [7, 1],
        [0, 2],
        [3, 5],
        [0, 8],
        [5, 9],
        [0, 17],
        [9, 50],
        [1, 55],
        [20, 256],
      ] as const) {
        const some = await op(from, count).data();
        const same = sameBits(some, all.slice(from * width, from * width + some.length));
        expect([name, from, count, same]).toEqual([name, from, count, true]);
      }
    }
    device.destroy();
  });
});

describe("the width that is chosen", () => {
  // Elsewhere than on x64 processors have other numbers of registers, and nobody has measured there.
  it.runIf(process.arch === "x64")("is the faster one", async () => {
    const devices = [CpuBackend.create({ threads: 1 })].map((backend) => new T.Device(backend));
    const wide = (devices[0]!.backend as CpuBackend).engine.options.target.wide;
    devices.push(deviceOf(wide ? 128 : 256, 1));
    // In turns, and the quickest of many: what else runs on the machine takes time from both.
    const best = [Infinity, Infinity];
    for (let round = 0; round < 40; round++) {
      for (const [i, device] of devices.entries()) best[i] = Math.min(best[i]!, await timeProduct(device));
    }
    expect(best[0]).toBeLessThan(best[1]!);
    for (const device of devices) device.destroy();
  });
});

/** Milliseconds of one product. */
async function timeProduct(device: T.Device): Promise<number> {
  const x = device.ones([384, 384]);
  await device.sync();
  const start = performance.now();
  const y = T.matmul(x, x);
  await device.sync();
  const time = performance.now() - start;
  x.dispose();
  y.dispose();
  return time;
}
