import type { ConvGeometry, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { WebGPU } from "../device.ts";
import { kernel } from "../kernel.ts";
import { partsOf, shiftedRows } from "./conv-columns.ts";
import { gridStride } from "./wgsl.ts";

const WG = 64;
/** Output rows that one thread of the fast kernel computes, so that it reads an input row once for all of them. */
const ROWS = 4;
/** True where every group has one input channel, and there is more than one: no product to gain from. */
export function isDepthwise({ channels, groups }: ConvGeometry): boolean {
  return channels === groups && groups > 1;
}

/** A window that looks no further than the vectors beside its own. */
export interface NearWindow {
  readonly kh: number;
  readonly kw: number;
  /** Columns that the window reaches to the left. */
  readonly left: number;
}

/** The window, where rows are whole vectors and each output vector needs no more than its own and both neighbours. */
export function nearWindow(geometry: ConvGeometry): NearWindow | undefined {
  const {
    kernel: [kh, kw],
    stride,
    dilation,
    padding,
    width,
    outWidth,
  } = geometry;
  const plain = [...stride, ...dilation].every((step) => step === 1);
  const near = padding[1] >= 0 && padding[1] <= 4 && kw - 1 - padding[1] >= 0 && kw - 1 - padding[1] <= 4;
  if (!plain || !near || width % 4 !== 0 || outWidth % 4 !== 0 || kh * kw > 49) return undefined;
  return { kh, kw, left: padding[1] };
}

/** WGSL for the vector that lies `shift` columns right of `here`, out of `before`, `here` and `after`. */
export function shifted(shift: number): string {
  const parts = ["before", "here", "after"].flatMap((name) => [..."xyzw"].map((component) => `${name}.${component}`));
  return shift === 0 ? "here" : `vec4f(${parts.slice(4 + shift, 8 + shift).join(", ")})`;
}

/** Loads row `iy` of the plane at `from` around vector `col`; zero outside the image. */
export function loadRow({ kw, left }: NearWindow): string {
  const neighbour = (needed: boolean, inside: string, at: string): string =>
    needed ? `select(vec4f(), x[${at}], inside && ${inside})` : "vec4f()";
  return `let inside = iy >= 0 && iy < i32(u.height);
      let at = origin + u32(max(iy, 0)) * u.cols + col;
      let here = select(vec4f(), x[at], inside && col < u.cols);
      let before = ${neighbour(left > 0, "col > 0u", "at - 1u")};
      let after = ${neighbour(kw - 1 - left > 0, "col + 1u < u.cols", "at + 1u")};`;
}

const PLANES = { channels: "u32", divide: "u32", terms: "u32" } as const;

/**
 * One thread computes one vector of columns of four neighbouring output rows: every input row it reads serves all outputs
 * that look at it. A plane sums over `terms` source planes, which serves the gradient where a channel feeds several outputs.
 */
const nearKernel = kernel("depthwise", ({ kh, kw, left }: NearWindow) => {
  const lines: string[] = [];
  for (let line = 0; line < ROWS + kh - 1; line++) {
    const products: string[] = [];
    for (let row = 0; row < ROWS; row++) {
      const ky = line - row;
      if (ky < 0 || ky >= kh) continue;
      for (let kx = 0; kx < kw; kx++) products.push(`acc${row} = fma(vec4f(w${ky * kw + kx}), s${kx}, acc${row});`);
    }
    const shifts = Array.from({ length: kw }, (_, kx) => `let s${kx} = ${shifted(kx - left)};`);
    lines.push(
      `{ let iy = top + ${line};\n      ${loadRow({ kh, kw, left })}\n      ${shifts.join(" ")}\n      ${products.join("\n      ")} }`,
    );
  }
  return {
    inputs: { x: "vec4f", w: "f32" },
    outputs: { y: "vec4f" },
    uniforms: {
      count: "u32",
      height: "u32",
      cols: "u32",
      outHeight: "u32",
      outCols: "u32",
      blocks: "u32",
      padding: "i32",
      wFrom: "u32",
      wStep: "u32",
      inChannels: "u32",
      ...PLANES,
    },
    workgroupSize: WG,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let col = i % u.outCols;
    let row = ((i / u.outCols) % u.blocks) * ${ROWS}u;
    let plane = i / (u.outCols * u.blocks);
    let channel = plane % u.channels;
    let top = i32(row) - u.padding;
    ${Array.from({ length: ROWS }, (_, row) => `var acc${row} = vec4f();`).join(" ")}
    for (var term = 0u; term < u.terms; term++) {
      let wAt = (channel * u.terms + term) * ${kh * kw}u + u.wFrom;
      ${Array.from({ length: kh * kw }, (_, tap) => `let w${tap} = w[wAt + ${tap}u * u.wStep];`).join("\n      ")}
      let source = (plane / u.channels) * u.inChannels + (channel / u.divide) * u.terms + term;
      let origin = source * u.height * u.cols;
      ${lines.join("\n      ")}
    }
    let to = (plane * u.outHeight + row) * u.outCols + col;
    ${Array.from({ length: ROWS }, (_, row) => `if (row + ${row}u < u.outHeight) { y[to + ${row}u * u.outCols] = acc${row}; }`).join("\n    ")}
  }
}`,
  };
});

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
 * Like the fast kernel for a window of any size, on rows that have been padded so that windows start on whole vectors: four
 * taps of a row cost two vectors of x and, for each output row that looks at it, one vector of taps.
 */
const wideKernel = kernel("depthwise-wide", ({ wide }: { wide: boolean }) => {
  const rows = Array.from({ length: ROWS }, (_, row) => row);
  return {
    inputs: { x: "vec4f", w: "vec4f" },
    outputs: { y: wide ? "vec4f" : "f32" },
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
      inChannels: "u32",
      ...PLANES,
    },
    workgroupSize: WG,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let col = i % u.outCols;
    let row = ((i / u.outCols) % u.blocks) * ${ROWS}u;
    let plane = i / (u.outCols * u.blocks);
    let channel = plane % u.channels;
    ${rows.map((r) => `var acc${r} = vec4f();`).join(" ")}
    for (var term = 0u; term < u.terms; term++) {
      let wFrom = (channel * u.terms + term) * u.kh * u.vectors;
      let source = (plane / u.channels) * u.inChannels + (channel / u.divide) * u.terms + term;
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
    let to = plane * u.outArea + u.outFrom + row * u.outWidth + col * 4u;
    ${rows.map((r) => `if (row + ${r}u < u.rows) { ${storeRow(wide, r)} }`).join("\n    ")}
  }
}`,
  };
});

function storeRow(wide: boolean, r: number): string {
  const at = `to + ${r}u * u.outWidth`;
  if (wide) return `y[(${at}) / 4u] = acc${r};`;
  return `for (var j = 0u; j < min(4u, u.outWidth - col * 4u); j++) { y[${at} + j] = acc${r}[j]; }`;
}

/** One thread computes one output for any stride and dilation; `transposed` walks the windows that reach it instead of its own. */
const plainKernel = kernel("depthwise-plain", ({ transposed }: { transposed: boolean }) => ({
  inputs: { x: "f32", w: "f32" },
  outputs: { y: "f32" },
  uniforms: {
    count: "u32",
    inChannels: "u32",
    ...PLANES,
    kernel: "vec4i",
    step: "vec4i",
    padding: "vec4i",
    size: "vec4i",
  },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let area = u32(u.size.z * u.size.w);
    let plane = i / area;
    let at = vec2i(i32((i % area) / u32(u.size.w)), i32(i % u32(u.size.w)));
    let channel = plane % u.channels;
    var sum = 0.0;
    for (var term = 0u; term < u.terms; term++) {
      let source = (plane / u.channels) * u.inChannels + (channel / u.divide) * u.terms + term;
      var wAt = (channel * u.terms + term) * u32(u.kernel.x * u.kernel.y);
      for (var ky = 0; ky < u.kernel.x; ky++) {
        for (var kx = 0; kx < u.kernel.y; kx++) {
          let reach = vec2i(ky, kx) * u.step.zw;
          ${
            transposed
              ? "let far = at + u.padding.xy - reach;\n          let origin = far / u.step.xy;\n          let meets = all(origin * u.step.xy == far) && all(far >= vec2i(0));"
              : "let origin = at * u.step.xy + reach - u.padding.xy;\n          let meets = all(origin >= vec2i(0));"
          }
          if (meets && all(origin < u.size.xy)) {
            sum = fma(w[wAt], x[(source * u32(u.size.x) + u32(origin.x)) * u32(u.size.y) + u32(origin.y)], sum);
          }
          wAt++;
        }
      }
    }
    y[i] = sum;
  }
}`,
}));

/** What differs between the forward pass and the input gradient, which swaps the two sides. */
interface Sides {
  readonly geometry: ConvGeometry;
  readonly divide: number;
  readonly terms: number;
  readonly reversed: boolean;
}

function runNear(
  gpu: WebGPU,
  { geometry, divide, terms, reversed }: Sides,
  window: NearWindow,
  x: View,
  w: View,
  y: View,
): void {
  const { batch, channels, height, width, outChannels, outHeight, outWidth, padding } = geometry;
  const blocks = Math.ceil(outHeight / ROWS);
  const count = batch * outChannels * blocks * (outWidth / 4);
  nearKernel.run(gpu, {
    template: window,
    operands: { x, w, y },
    uniforms: {
      count,
      height,
      cols: width / 4,
      outHeight,
      outCols: outWidth / 4,
      blocks,
      padding: padding[0],
      wFrom: reversed ? window.kh * window.kw - 1 : 0,
      wStep: reversed ? -1 : 1,
      inChannels: channels,
      channels: outChannels,
      divide,
      terms,
    },
    workgroups: gridStride(gpu, count, WG),
  });
}

/** Pads the rows, and the taps to whole vectors. A tap of zero times an infinity just outside a window is NaN. */
function runWide(gpu: WebGPU, { geometry, divide, terms, reversed }: Sides, x: View, w: View, y: View): void {
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
      template: { wide: outWidth % 4 === 0 },
      operands: { x: source.view, w: taps, y },
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
      },
      workgroups: gridStride(gpu, count, WG),
    });
    source.release();
  }
  storage.release();
}

/** Convolutions without stride and dilation, by whichever kernel fits the sizes; false for the others. */
function runVectors(gpu: WebGPU, sides: Sides, x: View, w: View, y: View): boolean {
  const { stride, dilation } = sides.geometry;
  if (![...stride, ...dilation].every((step) => step === 1)) return false;
  const window = nearWindow(sides.geometry);
  if (window) runNear(gpu, sides, window, x, w, y);
  else runWide(gpu, sides, x, w, y);
  return true;
}

/** Forward: output channel o reads input channel ⌊o / multiplier⌋. */
export function depthwise(gpu: WebGPU, geometry: ConvGeometry, x: View, weight: View, y: View): void {
  const { batch, channels, height, width, outChannels, outHeight, outWidth } = geometry;
  const divide = outChannels / channels;
  if (runVectors(gpu, { geometry, divide, terms: 1, reversed: false }, x, weight, y)) return;
  const count = batch * outChannels * outHeight * outWidth;
  plainKernel.run(gpu, {
    template: { transposed: false },
    operands: { x, w: weight, y },
    uniforms: {
      count,
      inChannels: channels,
      channels: outChannels,
      divide,
      terms: 1,
      kernel: geometry.kernel,
      step: [...geometry.stride, ...geometry.dilation],
      padding: geometry.padding,
      size: [height, width, outHeight, outWidth],
    },
    workgroups: gridStride(gpu, count, WG),
  });
}

/** Input gradient: input channel c sums over its `multiplier` output channels, windows mirrored. */
export function depthwiseInputGrad(gpu: WebGPU, geometry: ConvGeometry, dx: View, weight: View, dy: View): void {
  const {
    batch,
    channels,
    height,
    width,
    outChannels,
    outHeight,
    outWidth,
    kernel: [kh, kw],
    padding,
  } = geometry;
  const terms = outChannels / channels;
  const mirrored: ConvGeometry = {
    ...geometry,
    channels: outChannels,
    height: outHeight,
    width: outWidth,
    outChannels: channels,
    outHeight: height,
    outWidth: width,
    padding: [kh - 1 - padding[0], kw - 1 - padding[1]],
  };
  if (runVectors(gpu, { geometry: mirrored, divide: 1, terms, reversed: true }, dy, weight, dx)) return;
  const count = batch * channels * height * width;
  plainKernel.run(gpu, {
    template: { transposed: true },
    operands: { x: dy, w: weight, y: dx },
    uniforms: {
      count,
      inChannels: outChannels,
      channels,
      divide: 1,
      terms,
      kernel: geometry.kernel,
      step: [...geometry.stride, ...geometry.dilation],
      padding,
      size: [outHeight, outWidth, height, width],
    },
    workgroups: gridStride(gpu, count, WG),
  });
}
