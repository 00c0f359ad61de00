import { denseLayout } from "../../../layout.ts";
import { Held } from "../../pool.ts";
import type { DeviceBuffer, Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { gridStride } from "./wgsl.ts";

const WG = 64;

/** One thread fills four words at a time with ones: NaN as f32 and f16, −1 as i32. */
const poisonKernel = kernel("poison", () => ({
  inputs: {},
  outputs: { memory: "vec4u" },
  uniforms: { count: "u32" },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) { memory[i] = vec4u(0xffffffffu); }
}`,
}));

// Nobody's memory has no holder, and this one lets go of it only by being forgotten.
const NOBODY = { takeBack: (): void => {} };

/** Fills memory that belongs to nobody, after everything recorded so far, so that who reads it without having written it sees it. */
export function poison(gpu: Gpu, buffer: DeviceBuffer, bytes: number): void {
  const storage = new Held(NOBODY, buffer, bytes, "nobody");
  poisonKernel.run(gpu, {
    template: {},
    operands: { memory: { storage, layout: denseLayout([bytes / 4]), dtype: "u32" } },
    uniforms: { count: bytes / 16 },
    workgroups: gridStride(gpu, bytes / 16, WG),
  });
}
