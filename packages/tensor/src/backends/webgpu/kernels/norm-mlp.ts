import type { MlpCall, MlpGradCall, MlpLayerCall, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { gridStride, overRow, rowReductions, rowThreads } from "./wgsl.ts";

const WG = 64;

/** Of `sizes`, a layer's inner and outer width and where its quantities begin in the scratch memory; of `at`, where its tensors begin. */
const UNIFORMS = { rows: "u32", layers: "u32", eps: "f32", sizes: "array<vec4u, 8>", at: "array<vec4u, 8>" } as const;

/** `stored` is run for what the gradients need of each layer: its input `a`, for all but the first one from normalised values `n` with a `scale`. */
const forward = (stored: string): string => `
  for (var l = 0u; l < u.layers; l++) {
    let size = u.sizes[l];
    let at = u.at[l];
    var n = Row();
    var scale = 0.0;
    if (l > 0u) {
      let count = f32(size.x);
      // As distances from the first value: equal ones are exactly 0.
      let origin = a[0];
      var sum = 0.0;
      for (var i = 0u; i < size.x; i++) { sum += a[i] - origin; }
      let mean = sum / count;
      var squares = 0.0;
      for (var i = 0u; i < size.x; i++) { n[i] = (a[i] - origin) - mean; squares += n[i] * n[i]; }
      scale = 1.0 / sqrt(squares / count + u.eps);
      for (var i = 0u; i < size.x; i++) {
        n[i] *= scale;
        let affine = n[i] * parameters[at.z + i] + parameters[at.w + i];
        a[i] = select(affine, 0.0, affine <= 0.0);
      }
    }
    ${stored}
    var b = Row();
    for (var o = 0u; o < size.y; o++) {
      var sum = 0.0;
      for (var i = 0u; i < size.x; i++) { sum += parameters[at.x + o * size.x + i] * a[i]; }
      b[o] = sum + parameters[at.y + o];
    }
    a = b;
  }`;

const ROW = `
alias Row = array<f32, 16>;
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var r = id.x + id.y * groups.x * WG; r < u.rows; r += groups.x * groups.y * WG) {
    var a = Row();
    for (var i = 0u; i < u.sizes[0].x; i++) { a[i] = x[r * u.sizes[0].x + i]; }`;

/** One thread has one row at a time. */
const forwardKernel = kernel("norm-mlp", () => ({
  inputs: { x: "f32", parameters: "f32" },
  outputs: { y: "f32" },
  uniforms: UNIFORMS,
  workgroupSize: WG,
  source: `${ROW}
    ${forward("")}
    let outer = u.sizes[u.layers - 1u].y;
    for (var o = 0u; o < outer; o++) { y[r * outer + o] = a[o]; }
  }
}`,
}));

/**
 * What sums over rows are made of, each quantity in a column of its own: of each layer its input, the gradient of its output, and for all but the first one
 * the normalised values and the gradient of what they become by weight and bias.
 */
const rowsKernel = kernel("norm-mlp-rows", () => ({
  inputs: { x: "f32", parameters: "f32", dy: "f32" },
  outputs: { columns: "f32" },
  uniforms: UNIFORMS,
  workgroupSize: WG,
  source: `${ROW}
    var scales = array<f32, 8>();
    ${forward(`
    scales[l] = scale;
    for (var i = 0u; i < size.x; i++) {
      columns[(size.z + i) * u.rows + r] = a[i];
      if (l > 0u) { columns[(size.z + size.x + size.y + i) * u.rows + r] = n[i]; }
    }`)}
    let last = u.sizes[u.layers - 1u].y;
    var d = Row();
    for (var o = 0u; o < last; o++) { d[o] = dy[r * last + o]; }
    for (var after = u.layers; after > 0u; after--) {
      let l = after - 1u;
      let size = u.sizes[l];
      let at = u.at[l];
      for (var o = 0u; o < size.y; o++) { columns[(size.z + size.x + o) * u.rows + r] = d[o]; }
      if (l == 0u) { break; }
      let normal = size.z + size.x + size.y;
      var g = Row();
      var sumG = 0.0;
      var sumGn = 0.0;
      for (var i = 0u; i < size.x; i++) {
        var sum = 0.0;
        for (var o = 0u; o < size.y; o++) { sum += parameters[at.x + o * size.x + i] * d[o]; }
        let e = select(sum, 0.0, columns[(size.z + i) * u.rows + r] <= 0.0);
        columns[(normal + size.x + i) * u.rows + r] = e;
        g[i] = e * parameters[at.z + i];
        sumG += g[i];
        sumGn += g[i] * columns[(normal + i) * u.rows + r];
      }
      let count = f32(size.x);
      for (var i = 0u; i < size.x; i++) {
        d[i] = (g[i] - sumG / count - columns[(normal + i) * u.rows + r] * (sumGn / count)) * scales[l];
      }
    }
  }
}`,
}));

/** A workgroup has one number at a time: of a matrix of weights, a bias, or the weight or bias of a norm. */
const sumsKernel = kernel("norm-mlp-sums", (_: object, gpu: Gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  return {
    inputs: { columns: "f32" },
    outputs: { gradients: "f32" },
    uniforms: { ...UNIFORMS, numbers: "u32", zero: "u32" },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var number = group.x + group.y * groups.x; number < u.numbers; number += groups.x * groups.y) {
    var l = 0u;
    var rest = number;
    while (rest >= numbersOf(l)) { rest -= numbersOf(l); l++; }
    let size = u.sizes[l];
    let at = u.at[l];
    let normal = size.z + size.x + size.y;
    let weights = size.x * size.y;
    // The columns whose products are summed: the second one of ones where they are the same.
    var first = size.z + size.x + rest / size.x;
    var second = size.z + rest % size.x;
    var to = at.x + rest;
    if (rest >= weights) {
      rest -= weights;
      first = size.z + size.x + rest;
      second = first;
      to = at.y + rest;
      if (rest >= size.y) {
        rest -= size.y;
        let i = rest % size.x;
        let ofWeight = rest < size.x;
        first = normal + size.x + i;
        second = select(first, normal + i, ofWeight);
        to = select(at.w, at.z, ofWeight) + i;
      }
    }
    var sum = 0.0;
    ${overRow(
      "f32",
      ["sum"],
      "let value = columns[first * u.rows + i]; sumPart += select(value * columns[second * u.rows + i], value, first == second);",
      { lane: "lane", threads: "WG", cols: "u.rows" },
    )}
    let all = rowSum(sum, lane);
    if (lane == 0u) { gradients[to] = all; }
  }
}
fn numbersOf(l: u32) -> u32 {
  let size = u.sizes[l];
  return size.x * size.y + size.y + select(0u, 2u * size.x, l > 0u);
}`,
  };
});

/** How many columns there are, with the uniforms. */
function plan(
  rows: number,
  eps: number,
  layers: readonly MlpLayerCall[],
): {
  readonly columns: number;
  readonly numbers: number;
  readonly uniforms: { rows: number; layers: number; eps: number; sizes: number[]; at: number[] };
} {
  const sizes = new Array<number>(32).fill(0);
  const at = new Array<number>(32).fill(0);
  let [columns, numbers] = [0, 0];
  for (const [l, { inner, outer, weight, bias, normWeight, normBias }] of layers.entries()) {
    sizes.splice(4 * l, 3, inner, outer, columns);
    at.splice(4 * l, 4, weight, bias, normWeight, normBias);
    const norm = l > 0 ? 2 * inner : 0;
    columns += inner + outer + norm;
    numbers += inner * outer + outer + norm;
  }
  return { columns, numbers, uniforms: { rows, layers: layers.length, eps, sizes, at } };
}

/** A perceptron of dense rows. */
export function normMlp(gpu: Gpu, { rows, eps, layers, x, parameters, y }: MlpCall): void {
  const { uniforms } = plan(rows, eps, layers);
  const workgroups = gridStride(gpu, rows, WG);
  forwardKernel.run(gpu, { template: {}, operands: { x, parameters, y }, uniforms, workgroups });
}

/** The gradients of its parameters. */
export function normMlpGrad(gpu: Gpu, { rows, eps, layers, x, parameters, dy, gradients }: MlpGradCall): void {
  const { columns: count, numbers, uniforms } = plan(rows, eps, layers);
  const storage = gpu.pool.take(4 * rows * count, "normMlp columns");
  const columns: View = { storage, layout: denseLayout([count, rows]), dtype: "f32" };
  try {
    const workgroups = gridStride(gpu, rows, WG);
    rowsKernel.run(gpu, { template: {}, operands: { x, parameters, dy, columns }, uniforms, workgroups });
    sumsKernel.run(gpu, {
      template: {},
      operands: { columns, gradients },
      uniforms: { ...uniforms, numbers, zero: 0 },
      workgroups: gridStride(gpu, numbers, 1),
    });
  } finally {
    storage.release();
  }
}
