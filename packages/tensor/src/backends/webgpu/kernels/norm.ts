import type { NormCall, NormGradCall, NormSumsCall, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import type { Finish } from "./finish.ts";
import { finishing } from "./pointwise.ts";
import { reduce } from "./reduce.ts";
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

interface GradTemplate {
  readonly dtype: DType;
  readonly wide: boolean;
  readonly weight: boolean;
  readonly finish: Finish;
}

/** `dx = (g − mean(g) − n mean(g n)) / σ` with `g = dy weight` and the normalised input `n`. One workgroup has one row at a time. */
const gradKernel = kernel("layer-norm-grad", ({ dtype, wide, weight, finish }: GradTemplate, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const T = elementType(dtype, wide ? 4 : 1);
  const fold = (value: string): string => (wide ? `dot(${value}, vec4f(1.0))` : value);
  const load = `let g = ${F}(dy[base + i])${weight ? ` * ${F}(weight[i])` : ""};
      let n = fma(${F}(x[base + i]) - mean, ${F}(scale), ${F}(shift));`;
  const result = "(g - meanG - n * meanGn) * scale";
  const store =
    wide && finish.width === 1
      ? `let dx = ${result};
      for (var j = 0u; j < 4u; j++) { finish((base + i) * 4u + j, dx[j]); }`
      : `finish(base + i, ${result});`;
  return {
    inputs: { x: T, stats: "f32", dy: T, ...(weight ? { weight: T } : {}), ...finish.inputs },
    outputs: finish.outputs,
    uniforms: { rows: "u32", cols: "u32", count: "f32", zero: "u32", ...finish.uniforms },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = group.x + group.y * groups.x; r < u.rows; r += groups.x * groups.y) {
    let base = r * u.cols;
    let mean = stats[r * 3u];
    let scale = stats[r * 3u + 1u];
    let shift = stats[r * 3u + 2u];
    var sumG = ${F}(0.0);
    var sumGn = ${F}(0.0);
    ${overRow(F, ["sumG", "sumGn"], `${load} sumGPart += g; sumGnPart += g * n;`)}
    let meanG = rowSum(${fold("sumG")}, lane) / u.count;
    let meanGn = rowSum(${fold("sumGn")}, lane) / u.count;
    for (var i = lane; i < u.cols; i += WG) {
      ${load}
      ${store}
    }
  }
}`,
  };
});

/** One thread walks down some columns of a group of rows, and adds up 64 of them at a time. */
const sumsKernel = kernel("layer-norm-sums", ({ wide }: { readonly wide: boolean }) => {
  const F = elementType("f32", wide ? 4 : 1);
  return {
    inputs: { x: F, stats: "f32", dy: F },
    outputs: { byWeight: F, byBias: F },
    uniforms: { rows: "u32", cols: "u32", groupRows: "u32" },
    workgroupSize: 16,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * WG + lane;
  if (i >= u.cols) { return; }
  let end = min(u.rows, (group.y + 1u) * u.groupRows);
  var sumDyN = ${F}(0.0);
  var sumDy = ${F}(0.0);
  for (var some = group.y * u.groupRows; some < end; some += 64u) {
    var partDyN = ${F}(0.0);
    var partDy = ${F}(0.0);
    for (var r = some; r < min(end, some + 64u); r++) {
      let d = dy[r * u.cols + i];
      partDyN += d * fma(x[r * u.cols + i] - stats[r * 3u], ${F}(stats[r * 3u + 1u]), ${F}(stats[r * 3u + 2u]));
      partDy += d;
    }
    sumDyN += partDyN;
    sumDy += partDy;
  }
  byWeight[group.y * u.cols + i] = sumDyN;
  byBias[group.y * u.cols + i] = sumDy;
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
export function layerNormGrad(gpu: Gpu, { rows, cols, x, stats, dy, dx, weight, epilogue }: NormGradCall): void {
  if (rows * cols === 0) return;
  const wide = cols % 4 === 0;
  finishing(gpu, dx, epilogue, wide, (finish) =>
    gradKernel.run(gpu, {
      template: { dtype: x.dtype, wide, weight: weight !== undefined, finish },
      operands: { x, stats, dy, ...optional("weight", weight), ...finish.operands },
      uniforms: { rows, cols: wide ? cols / 4 : cols, count: cols, zero: 0, ...finish.values },
      workgroups: gridStride(gpu, rows, 1),
    }),
  );
}

/** Rows that one thread walks down: on a graphics card few, so that all of it has work, and the sums of groups are added up in turn. */
function groupRows(gpu: Gpu, rows: number, cols: number): number {
  return gpu.software ? 4096 : Math.min(512, Math.max(64, Math.ceil((rows * cols) / 2 ** 16)));
}

/** The gradients of weight and bias. */
export function layerNormSums(gpu: Gpu, { rows, cols, x, stats, dy, byWeight, byBias }: NormSumsCall): void {
  const wide = cols % 4 === 0;
  const length = groupRows(gpu, rows, cols);
  const groups = Math.ceil(rows / length);
  const launch = (ofWeight: View, ofBias: View): void =>
    sumsKernel.run(gpu, {
      template: { wide },
      operands: { x, stats, dy, byWeight: ofWeight, byBias: ofBias },
      uniforms: { rows, cols: wide ? cols / 4 : cols, groupRows: length },
      workgroups: [Math.ceil(cols / (wide ? 64 : 16)), groups],
    });
  if (groups === 1) {
    launch(byWeight, byBias);
    return;
  }
  const layout = denseLayout([1, groups, cols]);
  const take = (): View => ({
    storage: gpu.pool.take(4 * groups * cols, "layer-norm sums"),
    layout,
    dtype: "f32",
  });
  const [partsOfWeight, partsOfBias] = [take(), take()];
  launch(partsOfWeight, partsOfBias);
  reduce(gpu, { kind: "sum", input: partsOfWeight, out: byWeight });
  reduce(gpu, { kind: "sum", input: partsOfBias, out: byBias });
  for (const { storage } of [partsOfWeight, partsOfBias]) storage.release();
}
