import type { WebGPUBackend } from "../src/backends/webgpu/backend.ts";
import { Device } from "../src/index.ts";

/** A device of its own whose kernels join threads through workgroup memory, as on adapters whose subgroup size varies. */
export async function deviceWithoutSubgroups(): Promise<Device> {
  const device = await Device.request({ backend: "webgpu" });
  const { gpu } = device.backend as WebGPUBackend;
  Object.defineProperty(gpu, "subgroupSize", { value: 0 });
  return device;
}
