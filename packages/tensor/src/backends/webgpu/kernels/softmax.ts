import type { SoftmaxCall, SoftmaxGradCall } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, rowReductions, rowThreads } from "./wgsl.ts";

interface Template {
  readonly dtype: DType;
  readonly log: boolean;
  readonly wide: boolean;
  /** Rows so long that their sums are cut. */
  readonly long: boolean;
}

const LONG = 8192;

/**
 * WGSL that runs `body` for each `i` of a thread's part of a row. In long rows stretches of 64 steps have a sum of their own, since what
 * a sum loses grows with the additions in a row: `open` comes before each and `close` after it.
 */
function overRow(long: boolean, open: string, body: string, close: string): string {
  if (!long) return `for (var i = lane; i < u.cols; i += WG) { ${body} }`;
  return `for (var stretch = lane; stretch < u.cols; stretch += 64u * WG) {
      ${open}
      let end = min(u.cols, stretch + 64u * WG);
      for (var i = stretch; i < end; i += WG) { ${body} }
      ${close}
    }`;
}

/** The start of every kernel here: workgroups stride over rows, `base` is the first element of row `r`. */
const ROWS = `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = group.x + group.y * groups.x; r < u.rows; r += groups.x * groups.y) {
    let base = r * u.cols;`;

/**
 * One workgroup, a subgroup where possible, computes one row at a time: its threads take every WG-th element (or vector of
 * four). The first walk keeps the maximum so far and the sum of exponentials below it, which is scaled when the maximum grows
 * (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"); the second writes. A row whose maximum is not finite
 * (a NaN, +∞, or nothing but −∞) has no softmax and becomes NaN.
 */
const softmaxKernel = kernel("softmax", ({ dtype, log, wide, long }: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const U = wide ? "vec4u" : "u32";
  const T = elementType(dtype, wide ? 4 : 1);
  const join = wide ? "nanMax(nanMax(best.x, best.y), nanMax(best.z, best.w))" : "best";
  const own = "sum * power(best - top)";
  return {
    inputs: { x: T },
    outputs: { y: T },
    uniforms: { rows: "u32", cols: "u32", zero: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
// exp(-104) is already 0 in f32; some drivers go wrong far below.
fn power(x: ${F}) -> ${F} { return exp(max(x, ${F}(-104.0))); }
${ROWS}
    // Below every number but -inf, so that differences are never inf - inf.
    var best = ${F}(-3.4028234e38);
    var sum = ${F}(0.0);
    ${overRow(
      long,
      `let before = best; let above = sum; sum = ${F}(0.0);`,
      `let v = ${F}(x[base + i]);
      let e = power(-abs(v - best));
      let nan = (bitcast<${U}>(v) & ${U}(0x7fffffffu)) > ${U}(0x7f800000u);
      let grows = v > best;
      sum = select(sum + e, fma(sum, e, ${F}(1.0)), grows);
      best = select(best, v, ${wide ? "grows | nan" : "grows || nan"});`,
      "sum += above * power(before - best);",
    )}
    let top = rowMax(${join}, lane);
    let total = rowSum(${wide ? `dot(${own}, vec4f(1.0))` : own}, lane);
    let valid = (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u && total > 0.0;
    let nan = ${F}(bitcast<f32>(0x7fc00000u + u.zero));
    ${log ? "let logTotal = log(total);" : "let scale = 1.0 / total;"}
    for (var i = lane; i < u.cols; i += WG) {
      let value = ${log ? `(${F}(x[base + i]) - top) - logTotal` : `power(${F}(x[base + i]) - top) * scale`};
      y[base + i] = ${T}(select(nan, value, valid));
    }
  }
}`,
  };
});

/** `dx = y (dy − Σ y dy)`, for log-softmax `dx = dy − exp(y) Σ dy`; rows are shared out as in the forward kernel. */
const gradKernel = kernel("softmax-grad", ({ dtype, log, wide, long }: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const F = wide ? "vec4f" : "f32";
  const T = elementType(dtype, wide ? 4 : 1);
  const term = log ? `${F}(dy[base + i])` : `${F}(y[base + i]) * ${F}(dy[base + i])`;
  const value = log
    ? `${F}(dy[base + i]) - exp(max(${F}(y[base + i]), ${F}(-104.0))) * sum`
    : `${F}(y[base + i]) * (${F}(dy[base + i]) - sum)`;
  return {
    inputs: { y: T, dy: T },
    outputs: { dx: T },
    uniforms: { rows: "u32", cols: "u32", zero: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
${ROWS}
    var total = ${F}(0.0);
    ${overRow(long, `let above = total; total = ${F}(0.0);`, `total += ${term};`, "total += above;")}
    let sum = rowSum(${wide ? "dot(total, vec4f(1.0))" : "total"}, lane);
    for (var i = lane; i < u.cols; i += WG) { dx[base + i] = ${T}(${value}); }
  }
}`,
  };
});

/** Softmax or log-softmax of dense rows. */
export function softmax(gpu: Gpu, { rows, cols, log, x, y }: SoftmaxCall): void {
  if (rows * cols === 0) return;
  const wide = cols % 4 === 0;
  softmaxKernel.run(gpu, {
    template: { dtype: x.dtype, log, wide, long: cols > LONG },
    operands: { x, y },
    uniforms: { rows, cols: wide ? cols / 4 : cols, zero: 0 },
    workgroups: gridStride(gpu, rows, 1),
  });
}

/** The gradient of either, from the result. */
export function softmaxGrad(gpu: Gpu, { rows, cols, log, y, dy, dx }: SoftmaxGradCall): void {
  if (rows * cols === 0) return;
  const wide = cols % 4 === 0;
  gradKernel.run(gpu, {
    template: { dtype: y.dtype, log, wide, long: cols > LONG },
    operands: { y, dy, dx },
    uniforms: { rows, cols: wide ? cols / 4 : cols, zero: 0 },
    workgroups: gridStride(gpu, rows, 1),
  });
}
