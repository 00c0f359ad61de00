import { Device, matmul } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { operationOfOurs } from "../src/ours.ts";
import { matmul as reference } from "../src/reference.ts";
import { operation } from "../src/row.ts";
import { largestError } from "../src/statistics.ts";
import { prepareWay, type Task } from "../src/task.ts";
import { trainingTask } from "../src/training.ts";

it("runs an operation of ours as often as asked, and keeps nothing", async () => {
  const device = await Device.request();
  const api = { device, wait: (): Promise<void> => device.sync(), another: () => Device.request() };
  const row = operation({
    name: "small product",
    inputs: { a: [5, 7], b: [7, 3] },
    output: [5, 3],
    reference: ({ a, b }) => reference(a, b, { batch: 1, rows: 5, inner: 7, cols: 3 }),
    ours: ({ a, b }) => matmul(a, b),
  });
  const task = (await prepareWay(row.tasks.ours, 0, api)) as Task;
  expect(largestError(await task.result(), await row.reference())).toBeLessThan(1e-6);
  const before = device.memory().liveBuffers;
  let runs = 0;
  const counting = await operationOfOurs(api, { inputs: {}, output: [1], read: (x) => x }, () => {
    runs++;
    return device.ones([1]);
  });
  await counting.run(3);
  await task.run(4);
  expect(runs).toBe(3);
  expect(device.memory().liveBuffers).toBe(before);
  task.dispose();
  device.destroy();
});

it("checks training by its first losses, whenever they were made", async () => {
  let steps = 0;
  const disposed: number[] = [];
  const step = () => {
    const loss = ++steps;
    return { data: async () => [loss], dispose: () => void disposed.push(loss) };
  };
  const task = trainingTask({ step, wait: async () => {}, dispose: () => {} }, 3);
  await task.run(1);
  expect(Array.from(await task.result())).toEqual([1, 2, 3]);
  await task.run(2);
  expect(disposed).toEqual([4, 5]);
  task.dispose();
  expect(disposed).toEqual([4, 5, 1, 2, 3]);
});
