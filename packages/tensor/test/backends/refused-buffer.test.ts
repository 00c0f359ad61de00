import { expect, it, vi } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import * as T from "../../src/index.ts";

/**
 * A driver that has no memory gives a buffer that is not valid, and says so later. A software driver takes the process down instead, so that the driver's
 * word is put in its mouth here; the buffer that is not valid is a real one.
 */
async function withoutMemoryFor(name: string): Promise<T.Device> {
  const device = await T.Device.request({ backend: "webgpu" });
  const gpu = (device.backend as WebGPUBackend).gpu.device;
  const createBuffer = gpu.createBuffer.bind(gpu);
  const popErrorScope = gpu.popErrorScope.bind(gpu);
  let refused = false;
  vi.spyOn(gpu, "createBuffer").mockImplementation((descriptor) => {
    if (!descriptor.label?.startsWith(name)) return createBuffer(descriptor);
    refused = true;
    gpu.pushErrorScope("validation");
    const invalid = createBuffer({ ...descriptor, size: 2 ** 50 });
    void popErrorScope();
    return invalid;
  });
  vi.spyOn(gpu, "popErrorScope").mockImplementation(async () => {
    const mine = refused;
    refused = false;
    const error = await popErrorScope();
    return mine ? ({ message: "out of memory" } as GPUError) : error;
  });
  return device;
}

it.each([false, true])(
  "a buffer that the driver has no memory for fails what depends on it, kernels compiled: %s",
  async (warm) => {
    const device = await withoutMemoryFor("lost");
    const small = device.full([1000], 2);
    if (warm) await Promise.all([T.add(device.full([3000], 1), 1).data(), T.sum(device.ones([3000])).data()]);
    const before = T.add(small, 1);
    const lost = device.full([3000], 7, { label: "lost" });
    const uploaded = device.tensor(new Float32Array(500), [500], { label: "lost-too" });
    const dependent = T.sum(lost);
    const beside = T.sum(small);
    const says =
      /^lost f32\[3000\]: the device has no memory for \d+ bytes: out of memory; use a smaller batch .*; the largest tensors are .*lost f32\[3000\] \(12 KiB\)/;
    await expect(dependent.data()).rejects.toThrow(says);
    await expect(lost.data()).rejects.toThrow(says);
    await expect(uploaded.data()).rejects.toThrow(/^lost-too f32\[500\]: the device has no memory/);
    expect((await T.add(small, 1).data())[999]).toBe(3);
    lost.dispose();
    uploaded.dispose();
    dependent.dispose();
    await device.sync().catch(() => {});
    expect((await before.data())[0]).toBe(3);
    expect((await beside.data())[0]).toBe(2000);
    // Its place is used by nobody after it.
    const next = device.full([3000], 5, { label: "next" });
    expect((await T.add(next, 1).data())[2999]).toBe(6);
    await device.sync();
    device.destroy();
  },
);
