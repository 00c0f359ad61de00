import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import * as T from "../../src/index.ts";

// WebGPU on every run: what is under way there are promises of the driver.
const request = (): Promise<T.Device> => T.Device.request({ backend: "webgpu" });

let unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => {
  unhandled = [];
  process.on("unhandledRejection", note);
});
afterEach(() => void process.off("unhandledRejection", note));

/** Work that takes a moment, with kernels of its own: reads and syncs at several places of it. */
function work(device: T.Device, size: number): Promise<unknown>[] {
  const a = T.rand(device, [size, size], new T.Rng(1));
  const under: Promise<unknown>[] = [];
  let y = a;
  for (let i = 0; i < 20; i++) {
    y = T.add(T.matmul(y, a), i / size);
    if (i % 5 === 0) under.push(y.data(), device.sync());
  }
  under.push(y.data(), device.sync());
  return under;
}

it.each([
  { when: "in the same breath", warm: false, wait: async () => {} },
  { when: "while kernels compile", warm: false, wait: () => delay(0) },
  { when: "in the same breath with its kernels compiled", warm: true, wait: async () => {} },
  { when: "while it computes", warm: true, wait: () => delay(60) },
])("a device that is destroyed $when settles all that is under way", async ({ when, warm, wait }) => {
  const device = await request();
  if (warm) await Promise.all(work(device, 300));
  const settled = Promise.allSettled(work(device, 300));
  await wait();
  device.destroy();
  const outcomes = await settled;
  // What was there before may be delivered; all else says why not.
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") continue;
    expect(outcome.reason).toBeInstanceOf(T.DeviceError);
    expect(String(outcome.reason)).toContain("was destroyed");
  }
  if (!when.startsWith("while")) expect(outcomes.at(-1)!.status).toBe("rejected");
  await expect(device.sync()).rejects.toThrow("was destroyed");
  expect(() => device.ones([3])).toThrow("was destroyed");
  await delay(50);
  expect(unhandled).toEqual([]);
});

it.each([0, 60])("a device that is lost after %i ms says so in all that is under way", async (milliseconds) => {
  const device = await request();
  await Promise.all(work(device, 300));
  const settled = Promise.allSettled(work(device, 300));
  await delay(milliseconds);
  (device.backend as WebGPUBackend).gpu.device.destroy();
  const outcomes = await settled;
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") continue;
    expect(outcome.reason).toBeInstanceOf(T.DeviceError);
    expect(outcome.reason).toBeInstanceOf(T.DeviceLostError);
    expect(outcome.reason.message).toMatch(
      /^the device .+ was lost \(.+\)[^\n]*; its tensors are gone: ask for a new one with Device\.request, and load into it what was saved$/,
    );
  }
  await expect(device.sync()).rejects.toThrow(T.DeviceLostError);
  expect(() => device.ones([3])).toThrow(T.DeviceLostError);
  // A new one has nothing of the old.
  const next = await request();
  expect(next.backend).not.toBe(device.backend);
  expect((await T.add(next.ones([3]), 1).data())[2]).toBe(2);
  await Promise.all(work(next, 100));
  expect(next.memory().createdBuffers).toBeGreaterThan(0);
  next.destroy();
  device.destroy();
  await delay(50);
  expect(unhandled).toEqual([]);
});

it("disposing and destroying again do no harm", async () => {
  const device = await request();
  const x = device.ones([100]);
  const y = T.add(x, 1);
  y.view();
  device.destroy();
  device.destroy();
  x.dispose();
  y.dispose();
  await expect(device.sync()).rejects.toThrow("was destroyed");
  expect(unhandled).toEqual([]);
});

it("a device that fails says so in all that is under way, and gives its memory back", async () => {
  const device = await request();
  const { gpu } = device.backend as WebGPUBackend;
  const [x, freed] = [device.full([50_000], 2), device.full([70_000], 3)];
  await device.sync();
  freed.dispose();
  expect(device.memory().pooledBytes).toBeGreaterThan(0);
  const settled = Promise.allSettled([T.exp(x).data(), device.sync()]);
  gpu.fail(new T.DeviceError("large: the device has no memory for it"));
  for (const outcome of await settled) {
    expect(outcome.status === "rejected" && outcome.reason).toBeInstanceOf(T.DeviceError);
    expect(outcome.status === "rejected" && outcome.reason.message).toMatch(/^large: /);
  }
  expect(device.memory().pooledBytes).toBe(0);
  x.dispose();
  expect(device.memory().pooledBytes).toBe(0);
  expect(() => device.ones([3])).toThrow("large:");
  await expect(x.device.sync()).rejects.toThrow("large:");
  device.destroy();
  await delay(50);
  expect(unhandled).toEqual([]);
});
