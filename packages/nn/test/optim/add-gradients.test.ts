import { testDevice } from "@deplsr/tensor/testing";
import { expect, test } from "vitest";
import { addGradients } from "../../src/index.ts";

const device = await testDevice();

test("gradients of two parts are added by parameter, and what went into a sum is given back", async () => {
  const [a, b, c] = [device.ones([2]), device.ones([2]), device.ones([2])];
  const known = new Map([
    [a, device.tensor([1, 2])],
    [b, device.tensor([3, 4])],
  ]);
  const more = new Map([
    [b, device.tensor([10, 20])],
    [c, device.tensor([5, 6])],
  ]);
  const sums = addGradients(known, more);
  const values = await Promise.all([a, b, c].map(async (x) => [...(await sums.get(x)!.data())]));
  expect(values).toEqual([
    [1, 2],
    [13, 24],
    [5, 6],
  ]);
  expect([known.get(a)!.disposed, known.get(b)!.disposed, more.get(b)!.disposed]).toEqual([false, true, false]);
  expect([known.size, more.size]).toEqual([2, 2]);
});
