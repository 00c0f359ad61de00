import type { NormCall, NormGradCall, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, overRow, rowReductions, rowThreads } from "./wgsl.ts";

interface Template {
  readonly dtype: DType;
  readonly wide: boolean;
  readonly weight: boolean;
  readonly bias: boolean;
}

/**
 * One workgroup, a subgroup where possible, normalises one row at a time: mean, then the mean of the squared distances from it
 * (E[x²] − E[x]² would cancel), then the result. The mean is summed as distances from the row's first value, and kept with what
 * rounding took from it: so a mean that is large beside the distances costs no digits, and equal values are exactly 0. Sums are
 * f32 whatever the dtype.
 */
const normKernel = kernel("layer-norm", ({ dtype, wide, weight, bias }: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const T = elementType(dtype, wide ? 4 : 1);
  const fold = (value: string): string => (wide ? `dot(${value}, vec4f(1.0))` : value);
  return {
    inputs: { x: T, ...(weight ? { weight: T } : {}), ...(bias ? { bias: T } : {}) },
    outputs: { y: T, stats: "f32" },
    uniforms: { rows: "u32", cols: "u32", count: "f32", eps: "f32", zero: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = group.x + group.y * groups.x; r < u.rows; r += groups.x * groups.y) {
    let base = r * u.cols;
    let origin = f32(x[base]${wide ? ".x" : ""});
    var total = ${F}(0.0);
    ${overRow(F, ["total"], `totalPart += ${F}(x[base + i]) - origin;`)}
    let distance = rowSum(${fold("total")}, lane) / u.count;
    // What the mean was rounded by; adding a zero to its bits keeps compilers from simplifying that to 0.
    let mean = bitcast<f32>(bitcast<u32>(origin + distance) + u.zero);
    let error = (mean - origin) - distance;
    var squares = ${F}(0.0);
    ${overRow(F, ["squares"], `let d = ${F}(x[base + i]) - mean; squaresPart += d * d;`)}
    let spread = rowSum(${fold("squares")}, lane) / u.count - error * error;
    let scale = 1.0 / sqrt(max(spread, 0.0) + u.eps);
    let shift = error * scale;
    for (var i = lane; i < u.cols; i += WG) {
      let n = fma(${F}(x[base + i]) - mean, ${F}(scale), ${F}(shift));
      y[base + i] = ${T}(n${weight ? ` * ${F}(weight[i])` : ""}${bias ? ` + ${F}(bias[i])` : ""});
    }
    if (lane == 0u) {
      stats[r * 3u] = mean;
      stats[r * 3u + 1u] = scale;
      stats[r * 3u + 2u] = shift;
    }
  }
}`,
  };
});

/** Rows whose `dy n` and `dy` are added up together. */
export const GROUP_ROWS = 16;

interface GradTemplate extends Omit<Template, "bias"> {
  readonly sums: boolean;
}

/**
 * `dx = (g − mean(g) − n mean(g n)) / σ` with `g = dy weight` and the normalised input `n`. One workgroup has a group of rows, one after the
 * other; where their sums are wanted too, each thread then walks down its columns of the same rows, which are still in the caches.
 */
const gradKernel = kernel("layer-norm-grad", ({ dtype, wide, weight, sums }: GradTemplate, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const T = elementType(dtype, wide ? 4 : 1);
  const fold = (value: string): string => (wide ? `dot(${value}, vec4f(1.0))` : value);
  const load = `let g = ${F}(dy[base + i])${weight ? ` * ${F}(weight[i])` : ""};
      let n = fma(${F}(x[base + i]) - mean, ${F}(scale), ${F}(shift));`;
  const rowOf = `let base = r * u.cols;
    let mean = stats[r * 3u];
    let scale = stats[r * 3u + 1u];
    let shift = stats[r * 3u + 2u];`;
  const columns = `
  for (var i = lane; i < u.cols; i += WG) {
    var byWeight = ${F}(0.0);
    var byBias = ${F}(0.0);
    for (var r = first; r < end; r++) {
      ${rowOf}
      let d = ${F}(dy[base + i]);
      byWeight += d * fma(${F}(x[base + i]) - mean, ${F}(scale), ${F}(shift));
      byBias += d;
    }
    sums[index * 2u * u.cols + i] = byWeight;
    sums[(index * 2u + 1u) * u.cols + i] = byBias;
  }`;
  return {
    inputs: { x: T, stats: "f32", dy: T, ...(weight ? { weight: T } : {}) },
    outputs: { dx: T, ...(sums ? { sums: F } : {}) },
    uniforms: { rows: "u32", cols: "u32", count: "f32", zero: "u32", groupRows: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = group.x + group.y * groups.x;
  let first = min(u.rows, index * u.groupRows);
  let end = min(u.rows, first + u.groupRows);
  for (var r = first; r < end; r++) {
    ${rowOf}
    var sumG = ${F}(0.0);
    var sumGn = ${F}(0.0);
    ${overRow(F, ["sumG", "sumGn"], `${load} sumGPart += g; sumGnPart += g * n;`)}
    let meanG = rowSum(${fold("sumG")}, lane) / u.count;
    let meanGn = rowSum(${fold("sumGn")}, lane) / u.count;
    for (var i = lane; i < u.cols; i += WG) {
      ${load}
      dx[base + i] = ${T}((g - meanG - n * meanGn) * scale);
    }
  }${
    sums
      ? `
  if (first == end) { return; }${columns}`
      : ""
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

/** The gradient of its input, and with `sums` what those of weight and bias are added up from. */
export function layerNormGrad(gpu: Gpu, { rows, cols, x, stats, dy, dx, weight, sums }: NormGradCall): void {
  if (rows * cols === 0) return;
  const wide = cols % 4 === 0;
  // Without sums groups are as many as there are workgroups, so that all of them have work.
  const [across, down] = gridStride(gpu, rows, 1);
  const groupRows = sums ? GROUP_ROWS : Math.ceil(rows / (across * down));
  gradKernel.run(gpu, {
    template: { dtype: x.dtype, wide, weight: weight !== undefined, sums: sums !== undefined },
    operands: { x, stats, dy, dx, ...optional("weight", weight), ...optional("sums", sums) },
    uniforms: { rows, cols: wide ? cols / 4 : cols, count: cols, zero: 0, groupRows },
    workgroups: Math.ceil(rows / groupRows),
  });
}
