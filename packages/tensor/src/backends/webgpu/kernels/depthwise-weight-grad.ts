import type { ConvCall, ConvGeometry, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { foldGrid, kernel } from "../kernel.ts";
import { paddedRows, WORKSPACE_BYTES } from "./conv-columns.ts";
import { loadRow, type NearWindow, nearWindow, shifted } from "./depthwise-window.ts";
import { reduce } from "./reduce.ts";
import { rowReductions, rowThreads } from "./wgsl.ts";

/** Rows that one thread of the fast kernel walks down. */
const STRIP = 16;

/**
 * One workgroup computes all taps of one part of one output channel. A thread walks down strips of one vector of columns, keeping the last
 * kh rows of dy, so that each row of x and dy is read once; the threads' sums are joined at the end. With `sums` those of dy by itself too.
 */
const nearWeightGradKernel = kernel(
  "depthwise-weight-grad",
  ({ kh, kw, left, sums }: NearWindow & { readonly sums: boolean }, gpu) => {
    const { subgroups, source } = rowReductions(gpu);
    const taps = Array.from({ length: kh * kw }, (_, tap) => tap);
    // Row iy of x meets row iy + padding − ky of dy under tap ky: d0 is the newest of them.
    const products = taps.map((tap) => {
      const [d, s] = [`d${Math.floor(tap / kw)}`, `s${tap % kw}`];
      return `g${tap} = fma(${d}.x, ${s}.x, fma(${d}.y, ${s}.y, fma(${d}.z, ${s}.z, fma(${d}.w, ${s}.w, g${tap}))));`;
    });
    const age = Array.from({ length: kh - 1 }, (_, i) => `d${kh - 1 - i} = d${kh - 2 - i};`).join(" ");
    return {
      inputs: { x: "vec4f", dy: "vec4f" },
      outputs: { dw: "f32", ...(sums && { sums: "f32" }) },
      uniforms: {
        outChannels: "u32",
        divide: "u32",
        channels: "u32",
        items: "u32",
        parts: "u32",
        length: "u32",
        strips: "u32",
        height: "u32",
        cols: "u32",
        outHeight: "u32",
        outCols: "u32",
        padding: "i32",
        zero: "u32",
      },
      workgroupSize: rowThreads(gpu),
      subgroups,
      source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let index = group.x + group.y * groups.x;
  if (index >= u.outChannels * u.parts) { return; }
  let channel = index % u.outChannels;
  let first = (index / u.outChannels) * u.length;
  ${taps.map((tap) => `var g${tap} = 0.0;`).join(" ")}
  var all = vec4f();
  for (var item = first + local; item < min(first + u.length, u.items); item += WG) {
    let piece = quotient(item, u.outCols);
    let col = item - piece * u.outCols;
    let image = quotient(piece, u.strips);
    let strip = piece - image * u.strips;
    let origin = (image * u.channels + channel / u.divide) * u.height * u.cols;
    let dyFrom = (image * u.outChannels + channel) * u.outHeight * u.outCols + col;
    let begin = strip * ${STRIP}u;
    let end = min(begin + ${STRIP}u, u.outHeight);
    ${Array.from({ length: kh }, (_, ky) => `var d${ky} = vec4f();`).join(" ")}
    for (var oy = begin; oy < end + ${kh - 1}u; oy++) {
      ${age}
      d0 = vec4f();
      if (oy < end) { d0 = dy[dyFrom + oy * u.outCols]; }
      ${sums ? "all += d0;" : ""}
      let iy = i32(oy) - u.padding;
      ${loadRow({ kh, kw, left })}
      ${Array.from({ length: kw }, (_, kx) => `let s${kx} = ${shifted(kx - left)};`).join(" ")}
      ${products.join("\n      ")}
    }
  }
  ${taps.map((tap) => `{ let total = rowSum(g${tap}, local); if (local == 0u) { dw[index * ${kh * kw}u + ${tap}u] = total; } }`).join("\n  ")}
  ${sums ? "let total = rowSum(dot(all, vec4f(1.0)), local); if (local == 0u) { sums[index] = total; }" : ""}
}`,
    };
  },
);

/** One workgroup computes one part of one tap of one output channel; its threads take every WG-th output pixel. */
const plainWeightGradKernel = kernel("depthwise-weight-grad-plain", (_: Record<never, never>, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  return {
    inputs: { x: "f32", dy: "f32" },
    outputs: { dw: "f32" },
    uniforms: {
      outputs: "u32",
      items: "u32",
      parts: "u32",
      length: "u32",
      outChannels: "u32",
      channels: "u32",
      divide: "u32",
      zero: "u32",
      kernel: "vec4i",
      step: "vec4i",
      padding: "vec4i",
      size: "vec4i",
    },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let index = group.x + group.y * groups.x;
  if (index >= u.outputs * u.parts) { return; }
  let o = index % u.outputs;
  let first = (index / u.outputs) * u.length;
  let taps = u32(u.kernel.x * u.kernel.y);
  let channel = o / taps;
  let tap = vec2i(i32(o % taps) / u.kernel.y, i32(o % taps) % u.kernel.y);
  let area = u32(u.size.z * u.size.w);
  var sum = 0.0;
  for (var item = first + local; item < min(first + u.length, u.items); item += WG) {
    let image = item / area;
    let at = vec2i(i32((item % area) / u32(u.size.w)), i32(item % u32(u.size.w)));
    let origin = at * u.step.xy + tap * u.step.zw - u.padding.xy;
    if (all(origin >= vec2i(0)) && all(origin < u.size.xy)) {
      let plane = image * u.channels + channel / u.divide;
      let value = x[(plane * u32(u.size.x) + u32(origin.x)) * u32(u.size.y) + u32(origin.y)];
      sum = fma(value, dy[(image * u.outChannels + channel) * area + item % area], sum);
    }
  }
  let total = rowSum(sum, local);
  if (local == 0u) { dw[index] = total; }
}`,
  };
});

/** Rows of both operands in whole vectors, padded where they are not; undefined where that takes too much memory. */
function wholeRows(
  gpu: Gpu,
  geometry: ConvGeometry,
  x: View,
  dy: View,
): { x: View; dy: View; release: () => void } | undefined {
  const { batch, channels, height, width, outChannels, outHeight, outWidth } = geometry;
  const bytes = (planes: number, rows: number, size: number): number => planes * rows * Math.ceil(size / 4) * 16;
  const side = { ...geometry, channels: outChannels, height: outHeight, width: outWidth };
  const [padX, padDy] = [width % 4 !== 0, outWidth % 4 !== 0];
  if (padX && bytes(batch * channels, height, width) > WORKSPACE_BYTES) return undefined;
  if (padDy && bytes(batch * outChannels, outHeight, outWidth) > WORKSPACE_BYTES) return undefined;
  const copies = [
    padX ? paddedRows(gpu, x, geometry, 0, batch) : undefined,
    padDy ? paddedRows(gpu, dy, side, 0, batch) : undefined,
  ];
  const release = (): void => {
    for (const copy of copies) copy?.release();
  };
  return { x: copies[0]?.view ?? x, dy: copies[1]?.view ?? dy, release };
}

/** Strips, or pixels, that one thread sums in a row: more would let rounding errors grow. */
const STRIPS = 8;
const PIXELS = 512;

/** Runs `launch` for parts of so many items, and sums what it writes for each into `outs`. */
function inParts(
  gpu: Gpu,
  outs: readonly View[],
  items: number,
  perThread: number,
  launch: (outs: readonly View[], parts: { parts: number; length: number }) => void,
): void {
  const longest = perThread * rowThreads(gpu);
  const parts = Math.ceil(items / longest);
  if (parts <= 1) {
    launch(outs, { parts: 1, length: items });
    return;
  }
  const partial = outs.map(({ layout: { shape } }): View => {
    const size = numel(shape);
    const storage = gpu.pool.take(parts * size * 4, "partial weight gradient");
    return { storage, layout: denseLayout([1, parts, size]), dtype: "f32" };
  });
  launch(partial, { parts, length: longest });
  for (const [i, input] of partial.entries()) {
    const out = outs[i]!;
    reduce(gpu, { kind: "sum", input, out: { ...out, layout: denseLayout([1, numel(out.layout.shape)]) } });
    input.storage.release();
  }
}

/** `dw` of a depthwise convolution, and the sums of dy; multiplications with the zeros of padded rows add nothing. */
export function depthwiseWeightGrad(gpu: Gpu, { geometry, x, weight: dw, y: dy, sums }: ConvCall): void {
  const { batch, channels, height, width, outChannels, outHeight, outWidth, kernel: taps, padding } = geometry;
  const divide = outChannels / channels;
  const window = nearWindow(geometry);
  const rows = window && wholeRows(gpu, geometry, x, dy);
  if (window && rows) {
    const strips = Math.ceil(outHeight / STRIP);
    const outCols = Math.ceil(outWidth / 4);
    const items = batch * strips * outCols;
    inParts(gpu, sums ? [dw, sums] : [dw], items, STRIPS, ([dw, sums], { parts, length }) =>
      nearWeightGradKernel.run(gpu, {
        template: { ...window, sums: sums !== undefined },
        operands: { x: rows.x, dy: rows.dy, dw: dw!, ...(sums && { sums }) },
        uniforms: {
          outChannels,
          divide,
          channels,
          items,
          parts,
          length,
          strips,
          height,
          cols: Math.ceil(width / 4),
          outHeight,
          outCols,
          padding: padding[0],
          zero: 0,
        },
        workgroups: foldGrid(outChannels * parts),
      }),
    );
    rows.release();
    return;
  }
  const outputs = outChannels * taps[0] * taps[1];
  const items = batch * outHeight * outWidth;
  if (sums) {
    const layout = denseLayout([batch, outChannels, outHeight * outWidth, 1]);
    reduce(gpu, {
      kind: "sum",
      input: { ...dy, layout },
      out: { ...sums, layout: denseLayout([1, outChannels, 1, 1]) },
    });
  }
  inParts(gpu, [dw], items, PIXELS, ([dw], { parts, length }) =>
    plainWeightGradKernel.run(gpu, {
      template: {},
      operands: { x, dy, dw: dw! },
      uniforms: {
        outputs,
        items,
        parts,
        length,
        outChannels,
        channels,
        divide,
        zero: 0,
        kernel: taps,
        step: [...geometry.stride, ...geometry.dilation],
        padding,
        size: [height, width, outHeight, outWidth],
      },
      workgroups: foldGrid(outputs * parts),
    }),
  );
}
