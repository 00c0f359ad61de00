import type { RollCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import type { Finish } from "./finish.ts";
import { finishing } from "./pointwise.ts";
import { elementType, gridStride } from "./wgsl.ts";

const WG = 64;

interface Template {
  /** What is moved at a time. */
  readonly type: string;
  readonly axes: number;
  readonly finish: Finish;
}

/** One thread moves one element, or four neighbours, at a time; each axis goes on at its beginning where it ends. */
const rollKernel = kernel("roll", ({ type, axes, finish }: Template) => {
  const moves = Array.from({ length: axes }, (_, i) => {
    const axis = axes - 1 - i;
    const [size, begin, step] = ["sizes", "begins", "steps"].map((field) => `u.${field}[${axis >> 2}][${axis & 3}]`);
    const place = `place += select(at${axis}, at${axis} - ${size}, at${axis} >= ${size}) * ${step};`;
    if (axis === 0) return `let at0 = rest0 + ${begin}; ${place}`;
    return `let rest${axis - 1} = quotient(rest${axis}, ${size});
    let at${axis} = rest${axis} - rest${axis - 1} * ${size} + ${begin}; ${place}`;
  });
  return {
    inputs: { source: type, ...finish.inputs },
    outputs: finish.outputs,
    uniforms: {
      count: "u32",
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
    let rest${axes - 1} = i;
    var place = u.first;
    ${moves.join("\n    ")}
    finish(i, source[place]);
  }
}`,
  };
});

/** Rotates along axes. */
export function roll(gpu: Gpu, { input, out, begins, epilogue }: RollCall): void {
  const { layout, dtype } = input;
  const all = layout.shape.map((_, axis) => axis);
  const long = all.filter((axis) => layout.shape[axis] !== 1);
  const axes = long.length > 0 ? long : all.slice(-1);
  const last = axes.at(-1)!;
  const apart = axes.slice(0, -1).map((axis) => layout.strides[axis]!);
  const inVectors =
    dtype === "f32" &&
    layout.strides[last] === 1 &&
    [layout.shape[last]!, begins[last]!, layout.offset, ...apart].every((number) => number % 4 === 0);
  finishing(gpu, out, epilogue, inVectors, (finish) => {
    const { width } = finish;
    // What is counted in vectors along the last axis, and elsewhere in elements that are a multiple of that.
    const ofLast = (values: readonly number[]): number[] =>
      axes.map((axis) => values[axis]! / (axis === last ? width : 1));
    const count = numel(layout.shape) / width;
    rollKernel.run(gpu, {
      template: { type: elementType(dtype, width), axes: axes.length, finish },
      operands: { source: input, ...finish.operands },
      uniforms: {
        count,
        first: layout.offset / width,
        sizes: ofLast(layout.shape),
        begins: ofLast(begins),
        steps: axes.map((axis) => (axis === last ? layout.strides[axis]! : layout.strides[axis]! / width)),
        ...finish.values,
      },
      workgroups: gridStride(gpu, count, WG),
    });
  });
}
