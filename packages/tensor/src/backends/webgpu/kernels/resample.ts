import type { ResampleCall } from "../../../backend.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride } from "./wgsl.ts";

const WG = 64;

/** One thread computes one output row's element, or four neighbouring ones, walking along its taps: the axis is not the last. */
const columnKernel = kernel("resample-columns", ({ wide }: { wide: boolean }) => ({
  inputs: { x: elementType("f32", wide ? 4 : 1), start: "i32", weights: "f32" },
  outputs: { y: elementType("f32", wide ? 4 : 1) },
  uniforms: { count: "u32", inSize: "u32", outSize: "u32", inner: "u32", taps: "u32" },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let place = quotient(i, u.inner);
    let c = i - place * u.inner;
    let outer = quotient(place, u.outSize);
    let o = place - outer * u.outSize;
    let first = u32(start[o]);
    let taps = min(u.taps, u.inSize - first);
    let w = o * u.taps;
    var at = (outer * u.inSize + first) * u.inner + c;
    var sum = ${elementType("f32", wide ? 4 : 1)}();
    for (var t = 0u; t < taps; t++) {
      sum += weights[w + t] * x[at];
      at += u.inner;
    }
    y[i] = sum;
  }
}`,
}));

/**
 * One thread computes four neighbouring outputs of four rows when the axis is the last: a weight, once read, serves four rows,
 * and rows leave as vectors where their length allows.
 */
const rowKernel = kernel("resample-rows", ({ wide }: { wide: boolean }) => ({
  inputs: { x: "f32", start: "i32", weights: "f32" },
  outputs: { y: elementType("f32", wide ? 4 : 1) },
  uniforms: { count: "u32", rows: "u32", inSize: "u32", outSize: "u32", vectors: "u32", taps: "u32" },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let block = quotient(i, u.vectors);
    let col = (i - block * u.vectors) * 4u;
    let row = block * 4u;
    let origin = min(vec4u(row, row + 1u, row + 2u, row + 3u), vec4u(u.rows - 1u)) * u.inSize;
    var sums: mat4x4f;
    for (var e = 0u; e < 4u; e++) {
      let o = min(col + e, u.outSize - 1u);
      let first = u32(start[o]);
      let taps = min(u.taps, u.inSize - first);
      let w = o * u.taps;
      var sum = vec4f();
      for (var t = 0u; t < taps; t++) {
        let at = origin + first + t;
        sum = fma(vec4f(weights[w + t]), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), sum);
      }
      sums[e] = sum;
    }
    let lines = transpose(sums);
    for (var r = 0u; r < min(4u, u.rows - row); r++) {
      let to = (row + r) * u.outSize + col;
      ${
        wide
          ? "y[to / 4u] = lines[r];"
          : "for (var e = 0u; e < min(4u, u.outSize - col); e++) { y[to + e] = lines[r][e]; }"
      }
    }
  }
}`,
}));

/** A separable filter along one axis; taps past the end of the axis count nothing. */
export function resample(gpu: Gpu, call: ResampleCall): void {
  const { outer, inSize, outSize, inner, taps, x, start, weights, out } = call;
  if (outer * outSize * inner === 0) return;
  if (inner > 1) {
    const wide = inner % 4 === 0;
    const width = wide ? inner / 4 : inner;
    const count = outer * outSize * width;
    columnKernel.run(gpu, {
      template: { wide },
      operands: { x, start, weights, y: out },
      uniforms: { count, inSize, outSize, inner: width, taps },
      workgroups: gridStride(gpu, count, WG),
    });
    return;
  }
  const vectors = Math.ceil(outSize / 4);
  const count = vectors * Math.ceil(outer / 4);
  rowKernel.run(gpu, {
    template: { wide: outSize % 4 === 0 },
    operands: { x, start, weights, y: out },
    uniforms: { count, rows: outer, inSize, outSize, vectors, taps },
    workgroups: gridStride(gpu, count, WG),
  });
}
