import { expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import * as T from "../../src/index.ts";

const device = await T.Device.request({ backend: "webgpu" });
const { gpu } = device.backend as WebGPUBackend;
// Memory that is poisoned, as in all tests, is written by launches too.
gpu.pool.onFree = undefined;

/** Launches that something takes, its result stored. */
function launchesOf(work: () => T.Tensor | undefined): number {
  const before = gpu.queue.launches;
  T.scope(() => {
    work()?.view();
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
  // Rows of 15 are no whole vectors of four: those are copied to such first.
  expect(launchesOf(() => T.linear(T.narrow(x, 2, 0, 15), T.narrow(weight, 1, 0, 15)))).toBe(2);
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
    return undefined;
  });
  expect(both).toBe(3);
});
