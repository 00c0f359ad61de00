import type { NormCall, NormGradCall, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, rowReductions, rowThreads } from "./wgsl.ts";

interface Template {
  readonly dtype: DType;
  readonly wide: boolean;
  readonly weight: boolean;
  readonly bias: boolean;
}

/**
 * One workgroup, a subgroup where possible, normalises one row at a time: mean, then the mean of the squared distances from it
 * (E[x²] − E[x]² would cancel), then the result. Sums are f32 whatever the dtype.
 */
const normKernel = kernel("layer-norm", ({ dtype, wide, weight, bias }: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const T = elementType(dtype, wide ? 4 : 1);
  const fold = (value: string): string => (wide ? `dot(${value}, vec4f(1.0))` : value);
  return {
    inputs: { x: T, ...(weight ? { weight: T } : {}), ...(bias ? { bias: T } : {}) },
    outputs: { y: T, stats: "vec2f" },
    uniforms: { rows: "u32", cols: "u32", count: "f32", eps: "f32", zero: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = group.x + group.y * groups.x; r < u.rows; r += groups.x * groups.y) {
    let base = r * u.cols;
    var total = ${F}(0.0);
    for (var i = lane; i < u.cols; i += WG) { total += ${F}(x[base + i]); }
    let mean = rowSum(${fold("total")}, lane) / u.count;
    var squares = ${F}(0.0);
    for (var i = lane; i < u.cols; i += WG) {
      let d = ${F}(x[base + i]) - mean;
      squares += d * d;
    }
    let scale = 1.0 / sqrt(rowSum(${fold("squares")}, lane) / u.count + u.eps);
    for (var i = lane; i < u.cols; i += WG) {
      let n = (${F}(x[base + i]) - mean) * scale;
      y[base + i] = ${T}(n${weight ? ` * ${F}(weight[i])` : ""}${bias ? ` + ${F}(bias[i])` : ""});
    }
    if (lane == 0u) { stats[r] = vec2f(mean, scale); }
  }
}`,
  };
});

/** `dx = (g − mean(g) − n mean(g n)) / σ` with `g = dy weight` and the normalised input `n`; rows as in the forward kernel. */
const gradKernel = kernel("layer-norm-grad", ({ dtype, wide, weight }: Omit<Template, "bias">, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const T = elementType(dtype, wide ? 4 : 1);
  const fold = (value: string): string => (wide ? `dot(${value}, vec4f(1.0))` : value);
  const load = `let g = ${F}(dy[base + i])${weight ? ` * ${F}(weight[i])` : ""};
      let n = (${F}(x[base + i]) - s.x) * s.y;`;
  return {
    inputs: { x: T, stats: "vec2f", dy: T, ...(weight ? { weight: T } : {}) },
    outputs: { dx: T },
    uniforms: { rows: "u32", cols: "u32", count: "f32", zero: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = group.x + group.y * groups.x; r < u.rows; r += groups.x * groups.y) {
    let base = r * u.cols;
    let s = stats[r];
    var sumG = ${F}(0.0);
    var sumGn = ${F}(0.0);
    for (var i = lane; i < u.cols; i += WG) {
      ${load}
      sumG += g;
      sumGn += g * n;
    }
    let meanG = rowSum(${fold("sumG")}, lane) / u.count;
    let meanGn = rowSum(${fold("sumGn")}, lane) / u.count;
    for (var i = lane; i < u.cols; i += WG) {
      ${load}
      dx[base + i] = ${T}((g - meanG - n * meanGn) * s.y);
    }
  }
}`,
  };
});

function optional<Name extends string>(name: Name, view: View | undefined): Partial<Record<Name, View>> {
  return view ? ({ [name]: view } as Record<Name, View>) : {};
}

/** Layer normalisation of dense rows. */
export function layerNorm(gpu: Gpu, { rows, cols, eps, x, y, stats, weight, bias }: NormCall): void {
  if (rows * cols === 0) return;
  const wide = cols % 4 === 0;
  normKernel.run(gpu, {
    template: { dtype: x.dtype, wide, weight: weight !== undefined, bias: bias !== undefined },
    operands: { x, y, stats, ...optional("weight", weight), ...optional("bias", bias) },
    uniforms: { rows, cols: wide ? cols / 4 : cols, count: cols, eps, zero: 0 },
    workgroups: gridStride(gpu, rows, 1),
  });
}

/** The gradient of its input. */
export function layerNormGrad(gpu: Gpu, { rows, cols, x, stats, dy, dx, weight }: NormGradCall): void {
  if (rows * cols === 0) return;
  const wide = cols % 4 === 0;
  gradKernel.run(gpu, {
    template: { dtype: x.dtype, wide, weight: weight !== undefined },
    operands: { x, stats, dy, dx, ...optional("weight", weight) },
    uniforms: { rows, cols: wide ? cols / 4 : cols, count: cols, zero: 0 },
    workgroups: gridStride(gpu, rows, 1),
  });
}
