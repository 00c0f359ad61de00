import { expect, it } from "vitest";
import type { WebGPUBackend } from "../src/backends/webgpu/backend.ts";
import * as T from "../src/index.ts";

const device = await T.Device.request({ backend: "webgpu" });
const driver = (device.backend as WebGPUBackend).gpu.device;

it.each([0, 1, 3])("lets a loop run %d steps ahead of a slow device, and no more", async (ahead) => {
  const { queue } = driver;
  // A device that has done nothing before it is let go on.
  const waiting: (() => void)[] = [];
  queue.onSubmittedWorkDone = () => new Promise<undefined>((done) => waiting.push(() => done(undefined)));
  try {
    let steps = 0;
    const x = device.tensor([1, 2, 3]);
    const loop = (async () => {
      while (steps < 8) {
        steps++;
        T.scope(() => void T.mul(x, steps).view());
        await device.pace(ahead);
      }
    })();
    const turns = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await new Promise((done) => setImmediate(done));
    };
    for (let released = 0; released < 8; released++) {
      await expect.poll(() => waiting.length).toBe(Math.min(8 - released, 1 + ahead));
      await turns();
      expect(steps).toBe(Math.min(8, released + 1 + ahead));
      waiting.shift()!();
    }
    await loop;
  } finally {
    Reflect.deleteProperty(queue, "onSubmittedWorkDone");
  }
  await device.sync();
});

it("hands over a step before it goes on, so that the device has work while the next one is recorded", async () => {
  const x = device.tensor([1, 2, 3]);
  const step = (): void => T.scope(() => void T.mul(x, 2).view());
  // The first one waits for kernels and for memory.
  step();
  await device.sync();
  const { submit } = driver.queue;
  let submissions = 0;
  driver.queue.submit = (buffers) => {
    submissions++;
    submit.call(driver.queue, buffers);
  };
  try {
    step();
    const paced = device.pace();
    expect(submissions).toBe(1);
    await paced;
  } finally {
    Reflect.deleteProperty(driver.queue, "submit");
  }
});

it("takes whole numbers of steps, and runs on the CPU", async () => {
  await expect(device.pace(-1)).rejects.toThrow("pace: ahead");
  const cpu = await T.Device.request({ backend: "cpu" });
  const y = T.add(cpu.tensor([1, 2]), 1);
  await cpu.pace();
  await cpu.pace(0);
  expect(Array.from(await y.data())).toEqual([2, 3]);
});

it("rejects with the error of a lost device", async () => {
  const own = await T.Device.request({ backend: "webgpu" });
  own.destroy();
  await expect(own.pace(0)).rejects.toThrow("was destroyed");
});
