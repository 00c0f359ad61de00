import { describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../src/backends/webgpu/backend.ts";
import * as T from "../src/index.ts";

const devices = [await T.Device.request({ backend: "cpu" }), await T.Device.request({ backend: "webgpu" })];
const gpu = devices[1]!;

describe.each(devices.map((device) => [device.info.backend, device] as const))("warmup, %s", (_, device) => {
  it("runs the function once, and frees what it makes but for what is kept", async () => {
    const x = T.requireGrad(device.tensor([1, 2, 3]));
    await device.sync();
    const before = device.memory().liveBuffers;
    let runs = 0;
    let kept: T.Tensor | undefined;
    await device.warmup(() => {
      runs++;
      const y = T.gelu(x);
      kept = T.keep(T.detach(T.mul(y, 2)));
      return { loss: T.sum(T.square(y)), x, y };
    });
    expect(runs).toBe(1);
    expect(device.memory().liveBuffers).toBe(before + 1);
    expect((await kept!.data())[2]).toBeCloseTo(2 * 2.99595, 4);
    kept!.dispose();
    expect(Array.from(await x.data())).toEqual([1, 2, 3]);
  });

  it("tells of a wrong function, and of what goes wrong in it", async () => {
    const warmup = (work: unknown): Promise<void> => device.warmup(work as () => unknown);
    await expect(warmup(3)).rejects.toThrow("warmup: work has to be a function");
    await expect(warmup(async () => {})).rejects.toThrow("warmup: the function is asynchronous");
    await expect(warmup(() => T.matmul(device.zeros([2, 3]), device.zeros([2, 3])))).rejects.toThrow("matmul: inner");
  });
});

describe("warmup, kernels of WebGPU", () => {
  const driver = (gpu.backend as WebGPUBackend).gpu.device;

  /** Runs something, and counts the pipelines that it asks for and the submissions that it makes. */
  async function counted(work: () => Promise<void>): Promise<{ pipelines: number; submissions: number }> {
    const counts = { pipelines: 0, submissions: 0 };
    const { createComputePipelineAsync } = driver;
    const { submit } = driver.queue;
    driver.createComputePipelineAsync = (descriptor) => {
      counts.pipelines++;
      return createComputePipelineAsync.call(driver, descriptor);
    };
    driver.queue.submit = (buffers) => {
      counts.submissions++;
      submit.call(driver.queue, buffers);
    };
    try {
      await work();
    } finally {
      driver.createComputePipelineAsync = createComputePipelineAsync;
      driver.queue.submit = submit;
    }
    return counts;
  }

  it("compiles and launches all that a second call needs, results that nobody reads included", async () => {
    const x = T.rand(gpu, [5, 16], new T.Rng(1));
    const weight = T.requireGrad(T.rand(gpu, [7, 16], new T.Rng(2)));
    const work = (): unknown => [T.erf(x), T.backward(T.mean(T.softmax(T.linear(x, weight), 1)))];
    const first = await counted(() => gpu.warmup(work));
    expect(first.pipelines).toBeGreaterThan(3);
    expect(first.submissions).toBeGreaterThan(0);
    const second = await counted(() => gpu.warmup(work));
    expect(second.pipelines).toBe(0);
    expect(second.submissions).toBeGreaterThan(0);
  });
});
