import { inference } from "@deplsr/nn";
import { assign, backward, Device, mul, noGrad, Rng, scope, sum, type Tensor } from "@deplsr/tensor";
import { afterAll, expect, it } from "vitest";
import { PositionBias } from "../src/position-bias.ts";
import { WindowTables } from "../src/window-tables.ts";

const device = await Device.request();
afterAll(() => device.destroy());

it("is computed once while its weights stand, and again once one was written", async () => {
  const tables = new WindowTables(device, [2, 3]);
  const [table, other] = tables.branches;
  const bias = new PositionBias(80, 2, 1e-5, { device, rng: new Rng(1) });
  const training = { training: true, rng: new Rng(2) };
  /** As it is without being kept: with a graph. */
  const computed = async (): Promise<Tensor> => bias.forward(table, training)!;
  const kept = (): Tensor => noGrad(() => scope(() => bias.forward(table, inference)!));

  const first = kept();
  expect(kept()).toBe(first);
  expect(first.shape).toEqual([2, 6, 6]);
  expect(await first.data()).toEqual(await (await computed()).data());

  noGrad(() => assign(bias.pos3.linear.weight, mul(bias.pos3.linear.weight, 2)));
  const second = kept();
  expect(second).not.toBe(first);
  expect(first.disposed).toBe(true);
  expect(await second.data()).toEqual(await (await computed()).data());
  expect(kept()).toBe(second);

  // What is trained has its graph, and leaves what is kept alone.
  const gradients = backward(sum(await computed()));
  expect(gradients.has(bias.pos3.linear.weight)).toBe(true);
  expect(kept()).toBe(second);
  // Each window shape has its own.
  expect(noGrad(() => bias.forward(other, inference)!)).not.toBe(second);
  tables.dispose();
  expect(second.disposed).toBe(true);
  bias.dispose();
});
