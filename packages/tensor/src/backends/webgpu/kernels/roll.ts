import type { RollCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import type { Finish } from "./finish.ts";
import { finishing } from "./pointwise.ts";
import { elementType, gridStride } from "./wgsl.ts";

const WG = 64;

/** One thread moves one element at a time; each axis goes on at its beginning where it ends. */
const rollKernel = kernel("roll", ({ type, finish }: { type: string; finish: Finish }) => ({
  inputs: { source: type, ...finish.inputs },
  outputs: finish.outputs,
  uniforms: {
    count: "u32",
    axes: "u32",
    first: "u32",
    sizes: "array<vec4u, 2>",
    begins: "array<vec4u, 2>",
    steps: "array<vec4u, 2>",
    ...finish.uniforms,
  },
  workgroupSize: WG,
  source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    var rest = i;
    var place = u.first;
    for (var axis = u.axes; axis > 0u; axis--) {
      let d = axis - 1u;
      let size = u.sizes[d >> 2u][d & 3u];
      let at = rest % size + u.begins[d >> 2u][d & 3u];
      rest = rest / size;
      place += select(at, at - size, at >= size) * u.steps[d >> 2u][d & 3u];
    }
    finish(i, source[place]);
  }
}`,
}));

/** Rotates along axes. */
export function roll(gpu: Gpu, { input, out, begins, epilogue }: RollCall): void {
  const { shape, strides, offset } = input.layout;
  const count = numel(shape);
  finishing(gpu, out, epilogue, false, (finish) =>
    rollKernel.run(gpu, {
      template: { type: elementType(input.dtype, 1), finish },
      operands: { source: input, ...finish.operands },
      uniforms: { count, axes: shape.length, first: offset, sizes: shape, begins, steps: strides, ...finish.values },
      workgroups: gridStride(gpu, count, WG),
    }),
  );
}
