import { describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, ndarray, testDevice } from "../../src/testing.ts";
import { affine, alongAxes, normalizeRow } from "../reference/rows.ts";
import { deviceWithoutSubgroups } from "../without-subgroups.ts";

const gpu = await testDevice();
const webgpu = await testDevice("webgpu");
const cpu = await T.Device.request({ backend: "cpu", threads: 1 });

const channelOf = (shape: readonly number[]) => {
  const after = T.numel(shape.slice(2));
  return (i: number): number => Math.floor(i / after) % shape[1]!;
};

describe("batchNorm", () => {
  it.each([[[2, 4, 7, 9]], [[5, 4, 1, 1]], [[6, 3]], [[2, 1, 8, 4]], [[3, 5, 70]]])(
    "normalises %j with the batch's statistics",
    async (shape) => {
      const axes = shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
      await checkOp("batchNorm", {
        op: (x, weight, bias) => T.batchNorm(x!, { weight: weight!, bias: bias! }).y,
        reference: (x, weight, bias) =>
          affine(
            alongAxes(x!, axes, (row) => normalizeRow(row)),
            weight!,
            bias!,
            channelOf(shape),
          ),
        inputs: [{ shape, range: [-2, 2] }, { shape: [shape[1]!], range: [0.5, 2] }, { shape: [shape[1]!] }],
        gradientTolerance: { rel: 5e-5, abs: 5e-5 },
      });
    },
  );

  it("does without weight and bias", async () => {
    await checkOp("batchNorm", {
      op: (x) => T.batchNorm(x!, { eps: 1e-2 }).y,
      reference: (x) => alongAxes(x!, [0, 2], (row) => normalizeRow(row, 1e-2)),
      inputs: [{ shape: [3, 2, 5] }],
    });
  });

  it.each([[[2, 4, 7, 9]], [[6, 3]]])("normalises %j with given statistics", async (shape) => {
    const channels = [shape[1]!];
    const at = channelOf(shape);
    await checkOp("batchNorm", {
      op: (x, weight, bias, mean, variance) =>
        T.batchNorm(x!, { weight: weight!, bias: bias!, mean: mean!, variance: variance!, eps: 1e-5 }).y,
      reference: (x, weight, bias, mean, variance) =>
        affine(
          ndarray(
            x!.shape,
            x!.data.map((value, i) => (value - mean!.data[at(i)]!) / Math.sqrt(variance!.data[at(i)]! + 1e-5)),
          ),
          weight!,
          bias!,
          at,
        ),
      inputs: [
        { shape },
        { shape: channels, range: [0.5, 2] },
        { shape: channels },
        { shape: channels, gradient: false },
        { shape: channels, range: [0.5, 2], gradient: false },
      ],
    });
  });

  it("returns the mean and the biased variance, without a graph", async () => {
    const x = T.requireGrad(gpu.tensor([1, 2, 30, 40, 5, 6, 70, 80], [2, 2, 2]));
    const { mean, variance } = T.batchNorm(x);
    expect([mean.requiresGrad, variance.requiresGrad]).toEqual([false, false]);
    expectClose(await mean.data(), [3.5, 55]);
    expectClose(await variance.data(), [4.25, 425]);
  });

  it("gives back its memory", async () => {
    const x = T.requireGrad(gpu.ones([2, 3, 4]));
    const weight = T.requireGrad(gpu.ones([3]));
    await expectNoLeak(() => {
      T.backward(T.batchNorm(x, { weight }).y.square().sum());
    });
  });

  it("names what is wrong", () => {
    const x = gpu.zeros([2, 3, 4]);
    expect(() => T.batchNorm(gpu.zeros([2]))).toThrow("batchNorm: x f32[2] has no axis of channels");
    expect(() => T.batchNorm(x, { weight: gpu.zeros([4]) })).toThrow("batchNorm: weight f32[4] is not of shape [3]");
    expect(() => T.batchNorm(gpu.zeros([2, 3], { dtype: "i32" }))).toThrow(
      "batchNorm: takes f32 or f16, got x i32[2, 3]",
    );
    expect(() => T.batchNorm(x, { mean: gpu.zeros([3]) })).toThrow("mean and variance go together");
  });

  it.each([
    ["around 1e6", (i: number) => 1e6 + Math.sin(i)],
    ["of which the first is far off", (i: number) => (i % 700 === 0 ? 1e5 : Math.sin(i))],
    ["all the same", () => 12345.678],
  ])("has the statistics and gradients of values %s", async (_, valueAt) => {
    const [batch, channels, area] = [3, 2, 700];
    const values = Float32Array.from({ length: batch * channels * area }, (_, i) => valueAt(i));
    const dy = Float32Array.from(values, (_, i) => Math.sin(i * 0.7) + 0.3);
    const x = ndarray([batch, channels, area], values);
    const n = alongAxes(x, [0, 2], (row) => normalizeRow(row));
    const spreads = alongAxes(x, [0, 2], (row) => {
      const mean = row.reduce((a, b) => a + b) / row.length;
      const spread = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
      return row.map(() => spread);
    });
    const both = ndarray(
      [batch, channels, area, 2],
      [...dy].flatMap((value, i) => [value, n.data[i]!]),
    );
    const dx = alongAxes(both, [0, 2, 3], (row) => {
      const count = row.length / 2;
      const [byBias, byWeight] = [0, 0].map((_, k) =>
        row.reduce((a, value, i) => a + (i % 2 ? 0 : value * (k ? row[i + 1]! : 1)), 0),
      ) as [number, number];
      return row.map((value, i) => (i % 2 ? 0 : value - byBias / count - (row[i + 1]! * byWeight) / count));
    });
    for (const device of [webgpu, cpu]) {
      const input = T.requireGrad(device.tensor(values, [batch, channels, area]));
      const { y, variance } = T.batchNorm(input);
      expectClose(await T.add(y, 0).data(), n.data, { rel: 5e-7, abs: 5e-6 });
      const spread = [spreads.data[0]!, spreads.data[area]!];
      expectClose(await variance.data(), spread, { rel: 1e-6, abs: 0 });
      const gradient = await T.backward(y, { grad: device.tensor(dy, y.shape) })
        .get(input)!
        .data();
      const expected = dx.data
        .filter((_, i) => i % 2 === 0)
        .map((value, i) => value / Math.sqrt(spreads.data[i]! + 1e-5));
      expectClose(gradient, expected, { rel: 1e-5, abs: 1e-6 });
    }
  });

  it("gives the same on all devices, with and without subgroups, with threads that share images or take several", async () => {
    const other = await deviceWithoutSubgroups();
    for (const shape of [
      [2, 3, 5],
      [300, 2],
      [70, 3, 1, 4],
      [2, 70, 33],
      [3, 1, 1300],
      [1, 2, 8192],
    ]) {
      const at = (scale: number) => Float32Array.from({ length: T.numel(shape) }, (_, i) => 5 * Math.sin(i * scale));
      const channels = shape[1]!;
      const [expected, ...found] = [cpu, webgpu, other].map((device) => {
        const x = T.requireGrad(device.tensor(at(12.9898), shape));
        const weight = T.requireGrad(device.full([channels], 2));
        const bias = T.requireGrad(device.full([channels], 3));
        const { y, mean, variance } = T.batchNorm(x, { weight, bias });
        const result = T.keep(T.add(y, 0));
        const gradients = T.backward(y, { grad: device.tensor(at(78.233), shape) });
        return [result, mean, variance, ...[x, weight, bias].map((t) => gradients.get(t)!)];
      });
      // Sums of so many terms of up to 7.
      const abs = 1e-5 + (1e-7 * T.numel(shape)) / channels;
      for (const [i, value] of expected!.entries())
        for (const device of found) expectClose(await device[i]!.data(), await value.data(), { rel: 1e-5, abs });
    }
    other.destroy();
  });

  it("moves running statistics towards the batch's, in the launch that has those", async () => {
    for (const device of [webgpu, cpu]) {
      const x = device.tensor([1, 3, 10, 10, 5, 7, 10, 14], [2, 2, 2]); // channel means 4 and 11
      const running = {
        mean: device.zeros([2]),
        variance: device.ones([2]),
        count: device.zeros([], { dtype: "i32" }),
        momentum: 0.25,
      };
      const before = T.detach(T.requireGrad(running.mean));
      T.freeze(running.mean);
      T.batchNorm(x, { running });
      expect(await running.count.item()).toBe(1);
      expectClose(await running.mean.data(), [1, 2.75]);
      expectClose(await running.variance.data(), [0.75 + (0.25 * 20) / 3, 0.75 + (0.25 * 12) / 3]);
      // Who held the old numbers has them still.
      expect([...(await before.data())]).toEqual([0, 0]);
      const { queue } = (webgpu.backend as WebGPUBackend).gpu;
      before.dispose();
      const launches = queue.launches;
      T.batchNorm(x, { running });
      if (device === webgpu) expect(queue.launches - launches).toBe(1);
      expectClose(await running.mean.data(), [1.75, 4.8125]);
      expect(await running.count.item()).toBe(2);
    }
  });

  it("is two launches backward, whatever weight and bias are", async () => {
    const { queue, pool } = (webgpu.backend as WebGPUBackend).gpu;
    const poison = pool.onFree;
    pool.onFree = undefined;
    const x = T.requireGrad(
      webgpu.tensor(
        Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
        [2, 3, 10],
      ),
    );
    const [weight, bias] = [webgpu.ones([3]), webgpu.zeros([3])].map((t) => T.requireGrad(t));
    const { y } = T.batchNorm(x, { weight: weight!, bias: bias! });
    const grad = T.add(x, 1);
    grad.view();
    const launches = queue.launches;
    for (const gradient of T.backward(y, { grad: T.detach(grad) }).values()) gradient.view();
    expect(queue.launches - launches).toBe(2);
    pool.onFree = poison;
  });

  it("refuses running statistics that do not fit", () => {
    const x = gpu.zeros([2, 3, 4]);
    const running = {
      mean: gpu.zeros([3]),
      variance: gpu.ones([3]),
      count: gpu.zeros([], { dtype: "i32" }),
      momentum: 0.1,
    };
    const move =
      (changes: object, input = x) =>
      () =>
        T.batchNorm(input, { running: { ...running, ...changes } });
    expect(move({ mean: gpu.zeros([4]) })).toThrow("batchNorm: running.mean f32[4] is not of shape [3]");
    expect(move({ variance: gpu.zeros([3], { dtype: "i32" }) })).toThrow(
      "batchNorm: running.variance i32[3] is not f32",
    );
    expect(move({ count: gpu.zeros([1], { dtype: "i32" }) })).toThrow("running.count i32[1] is not one number");
    expect(move({ momentum: 1.5 })).toThrow("batchNorm: running.momentum has to be a number from 0 to 1");
    expect(move({}, gpu.zeros([1, 3, 1]))).toThrow("has no two values of a channel");
    expect(move({ mean: T.narrow(gpu.zeros([6]), 0, 0, 3) })).toThrow("is a view");
    const given = { mean: gpu.zeros([3]), variance: gpu.ones([3]) };
    expect(() => T.batchNorm(x, { running, ...given })).toThrow("not both");
  });

  it("gives NaN for the statistics of nothing", async () => {
    const { y, mean } = T.batchNorm(gpu.zeros([0, 2, 3]));
    expect((await y.data()).length).toBe(0);
    expect([...(await mean.data())]).toEqual([Number.NaN, Number.NaN]);
  });
});
