import { assign, Device, mul, requireGrad, square, sub, sum } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { PARTS, trainingSteps } from "../src/training-step.ts";

it("trains, looks into steps that train as well, and keeps nothing of them", async () => {
  const device = await Device.request();
  const weight = requireGrad(device.zeros([1]));
  const seen: number[] = [];
  const task = trainingSteps({
    device,
    data: (step) => ({ x: device.tensor([step + 1]), ids: Int32Array.of(step) }),
    forward: ({ x, ids }) => {
      seen.push(ids[0]!);
      return sum(square(sub(mul(weight, x), 1)));
    },
    optimizer: (gradients) => assign(weight, sub(weight, mul(gradients.get(weight)!, 0.125))),
  });
  // (w x - 1)², whose gradient is 2 x (w x - 1); w follows by hand.
  let w = 0;
  const follow = (steps: number): void => {
    for (let i = 0; i < steps; i++) w -= 0.125 * 2 * (i + 1 + done) * (w * (i + 1 + done) - 1);
    done += steps;
  };
  let done = 0;
  expect([...(await task.result())]).toEqual([1]);
  await task.run(2);
  follow(3);
  expect((await weight.data())[0]).toBeCloseTo(w, 5);
  const { liveBuffers } = device.memory();
  const { parts, liveBytes, peakBytes } = await task.profile!();
  follow(2);
  expect((await weight.data())[0]).toBeCloseTo(w, 5);
  expect(seen).toEqual([0, 1, 2, 3, 4]);
  expect(device.memory().liveBuffers).toBe(liveBuffers);
  expect(Object.keys(parts)).toEqual([...PARTS]);
  for (const part of PARTS) expect(parts[part]).toBeGreaterThan(0);
  expect(liveBytes).toBe(device.memory().liveBytes);
  expect(peakBytes).toBeGreaterThanOrEqual(liveBytes);
  task.dispose();
});
