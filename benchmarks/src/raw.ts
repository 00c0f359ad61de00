import type { Contender } from "./contender.ts";
import { openDawn, shimGpu } from "./peers/gpu.ts";
import { prepareWay, type Task } from "./task.ts";

/** A bare WebGPU device: what the ceilings are measured with. */
export interface Raw {
  readonly device: GPUDevice;
  readonly software: boolean;
}

/** One kernel, its buffers and its grid. */
export interface RawKernel {
  readonly code: string;
  /** Contents of the buffers, in the order of the bindings. The last one is the result. */
  readonly buffers: readonly Float32Array[];
  readonly grid: readonly [number, number];
}

/** Opens Dawn without a library on top. */
export async function openRaw(): Promise<Contender> {
  const adapterName = await shimGpu();
  const gpu = await openDawn();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("Dawn finds no adapter");
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  const software = /llvmpipe|swiftshader|basic render/i.test(`${adapterName} ${adapter.info.architecture}`);
  const about = { version: "WGSL", backend: "webgpu", adapter: adapterName };
  const api: Raw = { device, software };
  return { about, prepare: ({ raw }, way) => prepareWay(raw, way, api) };
}

/** A kernel that is launched once for each run. */
export async function rawTask({ device }: Raw, { code, buffers: contents, grid }: RawKernel): Promise<Task> {
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffers = contents.map((data) => {
    const buffer = device.createBuffer({ size: data.byteLength, usage });
    device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
    return buffer;
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const output = buffers.at(-1)!;
  const launch = (count: number): void => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < count; i++) pass.dispatchWorkgroups(...grid);
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  const read = async (bytes: number): Promise<Float32Array> => {
    const staging = device.createBuffer({ size: bytes, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(output, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const data = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    return data;
  };
  return {
    async result() {
      launch(1);
      return await read(Math.min(output.size, 1 << 20));
    },
    async run(count) {
      launch(count);
      await read(4);
    },
    dispose() {
      for (const buffer of buffers) buffer.destroy();
    },
  };
}
