import type { ConvGeometry, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { partsOf, shiftedRows } from "./conv-columns.ts";
import { type Pass, PLANES } from "./depthwise-window.ts";
import type { Finish } from "./finish.ts";
import { gridStride, rowByRow } from "./wgsl.ts";

const WG = 64;
/** Output rows that one thread computes, so that it reads an input row once for all of them. */
const ROWS = 4;

/** One thread writes four taps of one row of one window, zeros past its end; reversed for the input gradient. */
const tapVectorsKernel = kernel("depthwise-taps", () => ({
  inputs: { w: "f32" },
  outputs: { v: "vec4f" },
  uniforms: { count: "u32", kh: "u32", kw: "u32", vectors: "u32", reversed: "u32" },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let ky = (i / u.vectors) % u.kh;
    let origin = (i / (u.vectors * u.kh)) * u.kh * u.kw;
    var taps = vec4f();
    for (var j = 0u; j < 4u; j++) {
      let tap = ky * u.kw + (i % u.vectors) * 4u + j;
      if ((i % u.vectors) * 4u + j < u.kw) { taps[j] = w[origin + select(tap, u.kh * u.kw - 1u - tap, u.reversed != 0u)]; }
    }
    v[i] = taps;
  }
}`,
}));

/**
 * One thread computes one vector of columns of four neighbouring output rows, for a window of any size, on rows that have been
 * padded so that windows start on whole vectors: four taps of a row cost one vector of x and, for each output row that looks
 * at it, one vector of taps.
 */
const wideKernel = kernel("depthwise-wide", ({ finish }: { finish: Finish }) => {
  const rows = Array.from({ length: ROWS }, (_, row) => row);
  return {
    inputs: { x: "vec4f", w: "vec4f", ...finish.inputs },
    outputs: finish.outputs,
    uniforms: {
      count: "u32",
      rows: "u32",
      cols: "u32",
      lines: "u32",
      outCols: "u32",
      outWidth: "u32",
      outArea: "u32",
      outFrom: "u32",
      blocks: "u32",
      kh: "u32",
      vectors: "u32",
      ...PLANES,
      ...finish.uniforms,
    },
    workgroupSize: WG,
    source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let block = quotient(i, u.outCols);
    let col = i - block * u.outCols;
    let plane = quotient(block, u.blocks);
    let row = (block - plane * u.blocks) * ${ROWS}u;
    let image = quotient(plane, u.channels);
    let channel = plane - image * u.channels;
    ${rows.map((r) => `var acc${r} = vec4f();`).join(" ")}
    for (var term = 0u; term < u.terms; term++) {
      let wFrom = (channel * u.terms + term) * u.kh * u.vectors;
      let source = image * u.inChannels + quotient(channel, u.divide) * u.terms + term;
      for (var line = 0u; line < min(u.kh + ${ROWS - 1}u, u.lines - row); line++) {
        let origin = (source * u.lines + row + line) * u.cols + col;
        var here = x[origin];
        for (var j = 0u; j < u.vectors; j++) {
          let after = x[origin + j + 1u];
          let s1 = vec4f(here.yzw, after.x);
          let s2 = vec4f(here.zw, after.xy);
          let s3 = vec4f(here.w, after.xyz);
          ${rows
            .map(
              (r) => `if (line >= ${r}u && line < u.kh + ${r}u) {
            let t = w[wFrom + (line - ${r}u) * u.vectors + j];
            acc${r} = fma(vec4f(t.x), here, fma(vec4f(t.y), s1, fma(vec4f(t.z), s2, fma(vec4f(t.w), s3, acc${r}))));
          }`,
            )
            .join("\n          ")}
          here = after;
        }
      }
    }
    let to = plane * u.outArea + u.outFrom + col * 4u;
    ${rowByRow(ROWS, (r) => `acc${r}`, "u.rows", storeRow(finish))}
  }
}`,
  };
});

function storeRow({ width }: Finish): string {
  if (width === 4) return "finish((to + at * u.outWidth) / 4u, result);";
  return "for (var j = 0u; j < min(4u, u.outWidth - col * 4u); j++) { finish(to + at * u.outWidth + j, result[j]); }";
}

/** Any window without stride and dilation. Taps are padded to whole vectors: zero times an infinity just outside a window is NaN. */
export function depthwiseWide(
  gpu: Gpu,
  { geometry, divide, terms, reversed }: Pass,
  x: View,
  w: View,
  finish: Finish,
): void {
  const {
    channels,
    outChannels,
    outHeight,
    outWidth,
    kernel: [kh, kw],
  } = geometry;
  const vectors = Math.ceil(kw / 4);
  const windows = outChannels * terms;
  const storage = gpu.pool.take(windows * kh * vectors * 16, "depthwise taps");
  const taps: View = { storage, layout: denseLayout([windows * kh * vectors * 4]), dtype: "f32" };
  tapVectorsKernel.run(gpu, {
    template: {},
    operands: { w, v: taps },
    uniforms: { count: windows * kh * vectors, kh, kw, vectors, reversed: reversed ? 1 : 0 },
    workgroups: gridStride(gpu, windows * kh * vectors, WG),
  });
  const outCols = Math.ceil(outWidth / 4);
  // One row as wide as the outputs and the vectors that the last of them looks at, without horizontal taps.
  const padded: ConvGeometry = { ...geometry, kernel: [kh, 1], outWidth: (outCols + vectors) * 4 };
  for (const part of partsOf(geometry, channels * (outCols + vectors) * 16)) {
    const source = shiftedRows(gpu, x, padded, part);
    const blocks = Math.ceil(part.rows / ROWS);
    const count = part.images * outChannels * blocks * outCols;
    wideKernel.run(gpu, {
      template: { finish },
      operands: { x: source.view, w: taps, ...finish.operands },
      uniforms: {
        count,
        rows: part.rows,
        cols: source.cols,
        lines: source.rows,
        outCols,
        outWidth,
        outArea: outHeight * outWidth,
        outFrom: part.image * outChannels * outHeight * outWidth + part.row * outWidth,
        blocks,
        kh,
        vectors,
        inChannels: channels,
        channels: outChannels,
        divide,
        terms,
        ...finish.values,
      },
      workgroups: gridStride(gpu, count, WG),
    });
    source.release();
  }
  storage.release();
}
