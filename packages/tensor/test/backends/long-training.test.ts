import { expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { testDevice } from "../../src/testing.ts";

/** Steps of a small network; 10,000 by hand, with DEPLSR_STEPS=10000. */
const STEPS = Number(process.env.DEPLSR_STEPS ?? 300);

it(`${STEPS} steps of a training end with the bytes that they began with`, { timeout: 1_200_000 }, async () => {
  const { backend } = (await testDevice()).info;
  const device = await T.Device.request({ backend: backend as "cpu" | "webgpu" });
  const rng = new T.Rng(2);
  const x = T.keep(T.randn(device, [16, 8], rng));
  const target = T.keep(T.randn(device, [16, 3], rng));
  const shapes = [
    [8, 24],
    [24, 3],
  ];
  // In a scope, so that nothing waits for the collector.
  const params = T.scope(() => shapes.map((shape) => T.mul(T.randn(device, shape, rng), 0.3))).map(T.requireGrad);
  const moments = params.map(({ shape }) => [device.zeros(shape), device.zeros(shape)] as const);
  const step = (number: number): T.Tensor =>
    T.scope(() => {
      // Inputs that are made anew, and dropped, in each step.
      const noisy = T.add(x, T.mul(T.randn(device, [16, 8], rng.fork(number)), 0.01));
      const loss = T.mean(T.square(T.sub(T.matmul(T.gelu(T.matmul(noisy, params[0]!)), params[1]!), target)));
      const gradients = T.backward(loss, { wrt: params });
      for (const [i, param] of params.entries()) {
        const [expAvg, expAvgSq] = moments[i]!;
        const settings = { lr: 0.003, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, decoupled: false };
        T.adamStep({ param, grad: gradients.get(param)!, expAvg, expAvgSq, ...settings, step: number });
      }
      return T.detach(loss);
    });
  const losses: number[] = [];
  const held = (): Pick<T.MemoryReport, "liveBytes" | "liveBuffers" | "createdBuffers" | "pooledBytes"> => {
    const { liveBytes, liveBuffers, createdBuffers, pooledBytes } = device.memory();
    return { liveBytes, liveBuffers, createdBuffers, pooledBytes };
  };
  let before = held();
  for (let number = 1; number <= STEPS; number++) {
    const loss = step(number);
    if (number % 10 === 0) losses.push(await loss.item());
    loss.dispose();
    if (number === 50) {
      await device.sync();
      before = held();
    }
  }
  await device.sync();
  expect(held()).toEqual(before);
  expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.7);
  device.destroy();
});
