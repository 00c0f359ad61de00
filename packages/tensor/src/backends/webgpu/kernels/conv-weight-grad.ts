import type { ConvCall, ConvGeometry, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { flattened, inputRows, type Part, partsOf, WORKSPACE_BYTES } from "./conv-columns.ts";
import { each, evenly, freely, productLoop, ragged, rowsFor } from "./conv-product.ts";
import { reduce } from "./reduce.ts";
import { gridStride, rowByRow } from "./wgsl.ts";

const WG = 64;

/** One thread writes four channels of one pixel: `t[plane, row, col, c]` from `x`, zero outside the image and past the last channel. */
const channelsLastKernel = kernel("conv-channels-last", () => ({
  inputs: { x: "f32" },
  outputs: { t: "vec4f" },
  uniforms: {
    count: "u32",
    planeFrom: "u32",
    channels: "u32",
    vectors: "u32",
    height: "u32",
    width: "u32",
    rows: "u32",
    cols: "u32",
    top: "i32",
    left: "i32",
  },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let line = quotient(i, u.cols);
    let col = i - line * u.cols;
    let rest = quotient(line, u.rows);
    let row = line - rest * u.rows;
    let plane = quotient(rest, u.vectors);
    let vector = rest - plane * u.vectors;
    let iy = i32(row) + u.top;
    let ix = i32(col) - u.left;
    var v = vec4f();
    if (iy >= 0 && iy < i32(u.height) && ix >= 0 && ix < i32(u.width)) {
      let area = u.height * u.width;
      let c = vector * 4u + vec4u(0u, 1u, 2u, 3u);
      let at = (plane + u.planeFrom) * u.channels * area + u32(iy) * u.width + u32(ix) + min(c, vec4u(u.channels - 1u)) * area;
      v = select(vec4f(), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), c < vec4u(u.channels));
    }
    t[((plane * u.rows + row) * u.cols + col) * u.vectors + vector] = v;
  }
}`,
}));

/** Pixel by pixel, the channels of a group side by side in whole vectors; padding included. */
interface ChannelsLast {
  readonly view: View;
  readonly rows: number;
  readonly cols: number;
  /** Vectors of a pixel. */
  readonly vectors: number;
  readonly release: () => void;
}

/** The part of `x (b, c, h, w)` that a convolution looks at, as (b, groups, rows, cols, c / groups). */
function channelsLast(gpu: Gpu, x: View, geometry: ConvGeometry, part: Part): ChannelsLast {
  const { height, width, outWidth, kernel: taps, stride, padding, dilation, groups } = geometry;
  const channels = geometry.channels / groups;
  const vectors = Math.ceil(channels / 4);
  const rows = inputRows(geometry, part.rows);
  const cols = (outWidth - 1) * stride[1] + (taps[1] - 1) * dilation[1] + 1;
  const count = part.images * groups * vectors * rows * cols;
  const storage = gpu.pool.take(count * 16, "convolution pixels");
  const view: View = { storage, layout: denseLayout([count * 4]), dtype: "f32" };
  channelsLastKernel.run(gpu, {
    template: {},
    operands: { x, t: view },
    uniforms: {
      count,
      planeFrom: part.image * groups,
      channels,
      vectors,
      height,
      width,
      rows,
      cols,
      top: part.row * stride[0] - padding[0],
      left: padding[1],
    },
    workgroups: gridStride(gpu, count, WG),
  });
  return { view, rows, cols, vectors, release: () => storage.release() };
}

/**
 * One thread computes four neighbouring input channels of one tap, for R output channels, over the output rows of its slice:
 * dWeight (o, k) = dy (o, n) · columns (n, k), where a row of columns is a pixel with its channels side by side.
 */
const weightGradKernel = kernel("conv-weight-grad", ({ rows, flat }: { rows: number; flat: boolean }, gpu) => ({
  inputs: { a: "f32", b: "vec4f" },
  outputs: { dw: "f32" },
  uniforms: {
    m: "u32",
    channels: "u32",
    groups: "u32",
    taps: "u32",
    kw: "u32",
    vectors: "u32",
    down: "u32",
    right: "u32",
    strideRow: "u32",
    strideCol: "u32",
    bPlane: "u32",
    slice: "u32",
    lines: "u32",
    linesPerImage: "u32",
    outWidth: "u32",
    outArea: "u32",
    outFrom: "u32",
    sliceFrom: "u32",
  },
  workgroupSize: gpu.subgroupSize || 32,
  subgroups: gpu.subgroupSize > 0,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let item = workgroup.x * WG + lane;
  let clamped = min(item, u.taps * u.vectors - 1u);
  let tap = quotient(clamped, u.vectors);
  let vector = clamped - tap * u.vectors;
  let row = workgroup.y * ${rows}u;
  let slice = workgroup.z / u.groups;
  let group = workgroup.z % u.groups;
  let bBase = group * u.bPlane + (tap / u.kw) * u.down + (tap % u.kw) * u.right + vector;
  let aBase = group * u.m * u.outArea + u.outFrom;
  ${each(rows, (r) => `let row${r} = aBase + min(row + ${r}u, u.m - 1u) * u.outArea; var acc${r} = vec4f();`)}
  let first = slice * u.slice;
  let end = min(u.lines, first + u.slice);
  ${flat ? flatLines(rows, gpu.subgroupSize) : lineByLine(rows, gpu.subgroupSize)}
  if (item < u.taps * u.vectors) {
    let to = ((slice + u.sliceFrom) * u.groups + group) * u.m;
    ${rowByRow(
      rows,
      (r) => `acc${r}`,
      "u.m",
      `for (var j = 0u; j < min(4u, u.channels - vector * 4u); j++) {
        dw[((to + at) * u.channels + vector * 4u + j) * u.taps + tap] = result[j];
      }`,
    )}
  }
}`,
}));

function lineByLine(rows: number, lanes: number): string {
  return `for (var line = first; line < end; line++) {
    let image = line / u.linesPerImage;
    let oy = line % u.linesPerImage;
    let line0 = image * u.groups * u.m * u.outArea + oy * u.outWidth;
    ${each(rows, (r) => `let from${r} = row${r} + line0;`)}
    var at = bBase + image * u.groups * u.bPlane + oy * u.strideRow;
    ${productLoop(rows, lanes, evenly("u.outWidth", "1u", "u.strideCol"))}
  }`;
}

function flatLines(rows: number, lanes: number): string {
  const locate = `let down = quotient(k, u.outWidth);
      let ox = k - down * u.outWidth;
      let image = quotient(first + down, u.linesPerImage);
      let oy = first + down - image * u.linesPerImage;
      let aAt = image * u.groups * u.m * u.outArea + oy * u.outWidth + ox;
      let bAt = image * u.groups * u.bPlane + oy * u.strideRow + ox * u.strideCol;`;
  return `let at = bBase;
  ${each(rows, (r) => `let from${r} = row${r};`)}
  ${productLoop(rows, lanes, freely("((end - first) * u.outWidth)", locate))}`;
}

/** Pixels that one slice sums in a row; more would let rounding errors grow. */
const SLICE_PIXELS = 320;

/** The same convolution by lines of fewer pixels, where a flattened one has a single long one: slices are made of whole lines. */
function cutLines(geometry: ConvGeometry): ConvGeometry {
  const { outHeight, outWidth } = geometry;
  const wanted = Math.ceil(outWidth / SLICE_PIXELS);
  if (outHeight > 1 || wanted === 1 || outWidth !== geometry.width) return geometry;
  if (![...geometry.kernel, ...geometry.stride].every((size) => size === 1)) return geometry;
  for (let lines = wanted; lines <= 16 * wanted; lines++) {
    const width = outWidth / lines;
    if (Number.isInteger(width)) return { ...geometry, height: lines, width, outHeight: lines, outWidth: width };
  }
  return geometry;
}

/** The gradient of a convolution's weight, into `weight`, from that of its result in `y`. Slices are summed in their order. */
export function weightGrad(gpu: Gpu, call: ConvCall): void {
  const { x, weight, y } = call;
  const geometry = cutLines(flattened(call.geometry));
  const { groups, outHeight, outWidth, kernel: taps, stride, dilation } = geometry;
  const area = taps[0] * taps[1];
  const channels = geometry.channels / groups;
  const m = geometry.outChannels / groups;
  const lanes = gpu.subgroupSize || 32;
  const rows = rowsFor(m);
  const vectors = Math.ceil(channels / 4);
  const tiles = [Math.ceil((area * vectors) / lanes), Math.ceil(m / rows)] as const;
  const size = geometry.outChannels * channels * area;
  const parts = partsOf(geometry, groups * vectors * (geometry.width + 2 * Math.abs(geometry.padding[1])) * 16);
  const wanted = Math.ceil((gpu.software ? 16 : 512) / (tiles[0] * tiles[1] * groups));
  const affordable = Math.max(1, Math.floor(WORKSPACE_BYTES / (size * 4 * parts.length)));
  const planned = parts.map((part) => {
    const lines = part.images * part.rows;
    const count = Math.max(wanted, Math.ceil((lines * outWidth) / SLICE_PIXELS));
    const slice = Math.ceil(lines / Math.min(count, affordable, lines));
    return { part, lines, slice, slices: Math.ceil(lines / slice) };
  });
  const total = planned.reduce((sum, { slices }) => sum + slices, 0);
  const storage = total === 1 ? undefined : gpu.pool.take(total * size * 4, "partial weight gradient");
  const partial: View = storage ? { storage, layout: denseLayout([1, total, size]), dtype: "f32" } : weight;
  let sliceFrom = 0;
  for (const { part, lines, slice, slices } of planned) {
    const pixels = channelsLast(gpu, x, geometry, part);
    weightGradKernel.run(gpu, {
      template: { rows, flat: ragged(gpu, outWidth) },
      operands: { a: y, b: pixels.view, dw: partial },
      uniforms: {
        m,
        channels,
        groups,
        taps: area,
        kw: taps[1],
        vectors,
        down: dilation[0] * pixels.cols * vectors,
        right: dilation[1] * vectors,
        strideRow: stride[0] * pixels.cols * vectors,
        strideCol: stride[1] * vectors,
        bPlane: pixels.rows * pixels.cols * vectors,
        slice,
        lines,
        linesPerImage: part.rows,
        outWidth,
        outArea: outHeight * outWidth,
        outFrom: part.image * geometry.outChannels * outHeight * outWidth + part.row * outWidth,
        sliceFrom,
      },
      workgroups: [tiles[0], tiles[1], slices * groups],
    });
    sliceFrom += slices;
    pixels.release();
  }
  if (storage) {
    reduce(gpu, { kind: "sum", input: partial, out: { ...weight, layout: denseLayout([1, size]) } });
    storage.release();
  }
}
