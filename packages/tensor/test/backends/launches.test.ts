import { expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import * as T from "../../src/index.ts";

const device = await T.Device.request({ backend: "webgpu" });
const { gpu } = device.backend as WebGPUBackend;
// Memory that is poisoned, as in all tests, is written by launches too.
gpu.pool.onFree = undefined;

/** Launches that something takes, its result stored. */
function launchesOf(work: () => unknown): number {
  const before = gpu.queue.launches;
  T.scope(() => {
    const y = work();
    if (y instanceof T.Tensor) y.view();
  });
  return gpu.queue.launches - before;
}

it("multiplies by a matrix and by a transposed one, as linear layers do, in one launch", () => {
  const x = T.rand(device, [3, 10, 16], new T.Rng(1));
  const weight = T.rand(device, [24, 16], new T.Rng(2));
  const flipped = T.rand(device, [16, 24], new T.Rng(3));
  for (const drawn of [x, weight, flipped]) drawn.view(); // what is drawn is pending until then
  expect(launchesOf(() => T.matmul(x, flipped))).toBe(1);
  expect(launchesOf(() => T.matmul(x, T.transpose(weight, 0, 1)))).toBe(1);
  expect(launchesOf(() => T.linear(x, weight))).toBe(1);
  // Rows of 15 are no whole vectors of four: those are copied to such first, but not where so few multiplications read them.
  expect(launchesOf(() => T.linear(T.narrow(x, 2, 0, 15), T.narrow(weight, 1, 0, 15)))).toBe(1);
  const [tall, wide] = [device.ones([600, 31]), device.ones([200, 31])];
  expect(launchesOf(() => T.linear(tall, wide))).toBe(gpu.software ? 2 : 1);
});

it("normalises rows in one launch, and gives all three gradients in two", () => {
  const leaves = [[40, 12], [12], [12], [40, 12]].map((shape, i) => T.rand(device, shape, new T.Rng(i)));
  for (const drawn of leaves) drawn.view();
  const [x, weight, bias, grad] = leaves as [T.Tensor, T.Tensor, T.Tensor, T.Tensor];
  for (const leaf of [x, weight, bias]) T.requireGrad(leaf);
  expect(launchesOf(() => T.layerNorm(x, { weight, bias }))).toBe(1);
  const both = launchesOf(() => {
    const gradients = T.backward(T.layerNorm(x, { weight, bias }), { grad });
    for (const leaf of [x, weight, bias]) gradients.get(leaf)!.view();
  });
  expect(both).toBe(3);
});

it("steps, clips, sums and averages many parameters at once", () => {
  const params = Array.from({ length: 40 }, (_, i) => T.requireGrad(T.rand(device, [i + 1, 3], new T.Rng(i))));
  for (const drawn of params) drawn.view();
  const [expAvg, expAvgSq] = [T.zeroMoments(params), T.zeroMoments(params)];
  const settings = { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, decoupled: false };
  const backward = (): Map<T.Tensor, T.Tensor> => {
    const squares = params.map((param) => T.sum(T.square(param)));
    return T.backward(squares.reduce((a, b) => T.add(a, b)));
  };
  const step = (grads: Map<T.Tensor, T.Tensor>, n: number): number =>
    launchesOf(() => {
      T.adamSteps(
        params.map((param, i) => ({
          ...{ param, grad: grads.get(param)!, expAvg: expAvg[i]!, expAvgSq: expAvgSq[i]!, step: n },
          ...settings,
        })),
      );
    });
  // The first one computes each gradient, and writes each parameter to where they lie side by side.
  expect(step(backward(), 1)).toBe(2 * params.length + 2);
  const [grads, more] = [backward(), backward()];
  expect(T.sideBySide([...grads.values()]).length).toBe(1);
  const sums = params.map((param) => T.add(grads.get(param)!, more.get(param)!));
  // The gaps of the lot that they are written to are zeros first.
  expect(launchesOf(() => T.computeTogether(sums))).toBe(2);
  expect(step(grads, 2)).toBe(1);
  const averages = (): (readonly [T.Tensor, T.Tensor])[] =>
    params.map((param, i) => {
      using rest = T.mul(expAvg[i]!, 0.5);
      using share = T.mul(param, 0.5);
      return [expAvg[i]!, T.add(rest, share)] as const;
    });
  expect(launchesOf(() => T.computeTogether(averages().map(([, average]) => average)))).toBe(2);
  // Written over what they are computed of, where nobody else holds that.
  const places = expAvg.map((moment) => moment.view().storage);
  expect(launchesOf(() => T.assignTogether(averages()))).toBe(1);
  expect(expAvg.map((moment) => moment.view().storage)).toEqual(places);
});

it.each(["", ", captured"])(
  "makes neither a buffer nor a bind group in a step of steady shape after the third%s",
  async (how) => {
    // A device of its own: what other tests forgot comes back when the collector likes, and then other buffers are the first of their size.
    const device = await T.Device.request({ backend: "webgpu" });
    let made = 0;
    const { device: driver } = (device.backend as WebGPUBackend).gpu;
    const { createBindGroup, createBuffer } = driver;
    driver.createBindGroup = (descriptor) => {
      made++;
      return createBindGroup.call(driver, descriptor);
    };
    driver.createBuffer = (descriptor) => {
      made++;
      return createBuffer.call(driver, descriptor);
    };
    const weights = [1, 2].map((seed) => T.requireGrad(T.rand(device, [8, 8], new T.Rng(seed))));
    const [moments, squares] = [T.zeroMoments(weights), T.zeroMoments(weights)];
    const mean = device.zeros([8]);
    let steps = 0;
    const train = (x: T.Tensor): T.Tensor => {
      let h = x;
      for (const weight of [...weights, ...weights]) h = T.gelu(T.linear(T.layerNorm(h), weight));
      const loss = T.mean(T.mul(h, h));
      const gradients = T.backward(loss);
      T.eachCall(() => steps++);
      T.adamSteps(
        weights.map((param, i) => ({
          ...{ param, grad: gradients.get(param)!, expAvg: moments[i]!, expAvgSq: squares[i]!, step: () => steps },
          ...{ lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, decoupled: false },
        })),
      );
      const blended = (): T.Tensor => {
        using kept = T.mul(mean, 0.9);
        return T.add(kept, T.mean(x, { dim: 0 }));
      };
      T.assign(mean, blended());
      return T.detach(loss);
    };
    const step = how === "" ? train : device.capture(train);
    const makes: number[] = [];
    for (let i = 1; i <= 6; i++) {
      const before = made;
      T.scope(() => {
        const numbers = Float32Array.from({ length: 24 }, (_, at) => Math.sin(at * i));
        step(device.tensor(numbers, [3, 8])).view();
      });
      await device.sync();
      makes.push(made - before);
    }
    expect(steps).toBe(6);
    Object.assign(driver, { createBindGroup, createBuffer });
    device.destroy();
    expect(makes[0]).toBeGreaterThan(0);
    expect(makes.slice(3)).toEqual([0, 0, 0]);
  },
);
