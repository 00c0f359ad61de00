import { afterAll, describe, expect, it } from "vitest";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import { DeviceError } from "../../src/errors.ts";
import * as T from "../../src/index.ts";

/** What runs out of memory in the middle of a call gives back what it had taken: every call is tried with every one of its takes failing. */

const backend = CpuBackend.create({ threads: 2 });
const device = new T.Device(backend);
const pool = backend.engine.pool;
afterAll(() => device.destroy());

/** Runs `work` with no room for the `n`-th piece of memory that it asks for; true where it asks for so many. */
function failsAt(n: number, work: () => void): boolean {
  const take = pool.take.bind(pool);
  let left = n;
  pool.take = (bytes, label) => {
    if (left-- === 0) throw new DeviceError(`${label}: no room`);
    return take(bytes, label);
  };
  try {
    work();
    return false;
  } catch (error) {
    expect(String(error)).toContain("no room");
    return true;
  } finally {
    pool.take = take;
  }
}

const rng = new T.Rng(3);
const draw = (shape: number[], dtype: T.DType = "f32"): T.Tensor => {
  const x = T.cast(T.randn(device, shape, rng), dtype);
  x.view();
  return x;
};
const gradient = (loss: (x: T.Tensor) => T.Tensor, x: T.Tensor): T.Tensor => {
  const leaf = T.requireGrad(T.detach(x));
  return T.backward(T.sum(loss(leaf)), { wrt: [leaf] }).get(leaf)!;
};

const [a, b, wide] = [draw([5, 70]), draw([70, 30]), draw([300, 70])];
const [image, weight, depth] = [draw([2, 6, 9, 8]), draw([4, 3, 3, 3]), draw([6, 1, 3, 3])];
const sequence = draw([2, 19, 12]);
const half = draw([5, 70], "f16");
const index = device.tensor([3, 0, 1], [3], { dtype: "i32" });
const long = draw([3, 9000]);

const cases: Record<string, () => T.Tensor> = {
  "thin matmul": () => T.matmul(a, T.transpose(draw([30, 70]), 0, 1)),
  matmul: () => T.matmul(wide, b),
  "batched matmul": () => T.matmul(T.expand(a, [3, 5, 70]), b),
  conv2d: () => T.conv2d(image, weight, { groups: 2, padding: 1 }),
  depthwise: () => T.conv2d(image, depth, { groups: 6, padding: 1, stride: 2 }),
  "input gradient": () => gradient((x) => T.conv2d(x, weight, { groups: 2, padding: 1, stride: 2 }), image),
  "weight gradient": () => gradient((w) => T.conv2d(image, w, { groups: 2, padding: 1 }), weight),
  "depthwise input gradient": () => gradient((x) => T.conv2d(x, depth, { groups: 6, padding: 1 }), image),
  "depthwise weight gradient": () => gradient((w) => T.conv2d(image, w, { groups: 6, padding: 1 }), depth),
  attention: () => T.attention(sequence, sequence, sequence),
  "attention gradient": () => gradient((x) => T.attention(x, x, sequence), sequence),
  softmax: () => T.softmax(a, -1),
  "softmax of f16": () => T.softmax(half, -1),
  "softmax gradient of f16": () => gradient((x) => T.softmax(x, -1), half),
  "layer norm of f16": () => T.layerNorm(half),
  "layer norm gradient of f16": () => gradient((x) => T.layerNorm(x), half),
  sum: () => T.sum(long, { dim: 1 }),
  "largest of f16": () => T.amax(T.cast(long, "f16"), { dim: 1 }),
  "gather of f16": () => T.indexSelect(half, 0, index),
  countDistinct: () => T.countDistinct(long),
};

describe("memory that runs out in the middle of a call", () => {
  it.each(Object.entries(cases))("is as it was before: %s", async (_name, work) => {
    const before = pool.report();
    const run = (): void => T.scope(() => void work().view());
    let n = 0;
    while (failsAt(n, run)) {
      const { liveBytes, liveBuffers } = pool.report();
      expect([n, liveBytes, liveBuffers]).toEqual([n, before.liveBytes, before.liveBuffers]);
      n++;
    }
    expect(n).toBeGreaterThan(0);
    expect(pool.report().liveBuffers).toBe(before.liveBuffers);
    await device.sync();
  });

  it("goes on when there is room again", async () => {
    const own = new T.Device(CpuBackend.create({ threads: 2, memoryLimit: 48 * 2 ** 20 }));
    const [x, y] = [T.rand(own, [1400, 2048], rng), T.rand(own, [2048, 1400], rng)];
    const before = own.memory().liveBytes;
    for (let i = 0; i < 3; i++) {
      expect(() => T.scope(() => void T.matmul(x, y).view())).toThrow(/no room for \d+ bytes/);
      expect(own.memory().liveBytes).toBe(before);
    }
    expect(await T.amax(T.matmul(T.narrow(x, 0, 0, 100), y)).item()).toBeGreaterThan(512);
    own.destroy();
  });
});
