import type { ConvCall, ConvGeometry, View } from "../../../backend.ts";
import { denseLayout, type Layout } from "../../../layout.ts";
import type { WebGPU } from "../device.ts";
import { kernel } from "../kernel.ts";
import { channelsLast, gatherColumns, type Part, partsOf, shiftedRows, WORKSPACE_BYTES } from "./conv-columns.ts";
import { depthwise, depthwiseInputGrad, isDepthwise } from "./depthwise.ts";
import { depthwiseWeightGrad } from "./depthwise-weight-grad.ts";
import { matmul } from "./matmul.ts";
import { reduce } from "./reduce.ts";

/*
 * Letters: o output channels, c input channels of a group, k = c·kh·kw, n output pixels.
 *
 * A convolution is the product weight (o, k) · columns (k, n). The columns are written out, once for each horizontal tap, since
 * software adapters want their operands as aligned vectors from memory and gain nothing from workgroup memory. On a GPU the same
 * product would read x straight into workgroup memory (implicit GEMM); `forwardKernel` is the place.
 */

/** Rows of the product that one thread holds; few different numbers, since each is a kernel to compile. */
function rowsFor(m: number): number {
  return m <= 4 ? m : 8;
}

function each(count: number, text: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => text(index)).join("\n      ");
}

/** How the inner loop of a product finds the numbers of step `k`. */
interface Walk {
  /** WGSL for the number of steps. */
  readonly count: string;
  /** WGSL that places step `k`: `aAt`, and `bAt` where `next` asks for it. */
  readonly locate: string;
  /** WGSL that loads `v` of the next step from b; `value` gives what the lane of that step has located. */
  readonly next: (value: (name: string) => string) => string;
}

/** Both operands advance by the same distance at every step. */
function evenly(count: string, aStep: string, bStep: string): Walk {
  return { count, locate: `let aAt = k * ${aStep};`, next: () => `let v = b[at]; at += ${bStep};` };
}

/** Every step is placed on its own, which costs divisions, once for each lane's steps. */
function freely(count: string, locate: string): Walk {
  return { count, locate, next: (value) => `let v = b[at + ${value("bAt")}];` };
}

/**
 * The inner loop of both products here, as in the matmul kernel: R rows of `a` times vectors of `b`. Each lane loads the
 * values of one step for every row, and the others get them by broadcast, so that a step is one vector load and R
 * multiply-adds. The steps that do not fill a subgroup are not worth unrolled code, which drivers take long to compile.
 */
function productLoop(rows: number, lanes: number, { count, locate, next }: Walk): string {
  const load = `${locate}
      ${each(rows, (r) => `let a${r} = a[from${r} + aAt];`)}`;
  const multiply = (value: (name: string) => string): string =>
    `${next(value)}
      ${each(rows, (r) => `acc${r} = fma(vec4f(${value(`a${r}`)}), v, acc${r});`)}`;
  if (lanes === 0) {
    return `for (var k = 0u; k < ${count}; k++) {
      ${load}
      ${multiply((name) => name)}
    }`;
  }
  return `let full = ${count} - ${count} % WG;
    for (var i = 0u; i < full; i += WG) {
      let k = i + lane;
      ${load}
      ${each(lanes, (lane) => `{ ${multiply((name) => `subgroupBroadcast(${name}, ${lane}u)`)} }`)}
    }
    if (full < ${count}) {
      let k = min(full + lane, ${count} - 1u);
      ${load}
      for (var j = 0u; j < ${count} - full; j++) { ${multiply((name) => `subgroupShuffle(${name}, j)`)} }
    }`;
}

/** Whether a loop of `count` steps inside another would leave too much of a subgroup idle in its last round. */
function ragged(gpu: WebGPU, count: number): boolean {
  return gpu.subgroupSize > 0 && count % gpu.subgroupSize !== 0 && count < 4 * gpu.subgroupSize;
}

/**
 * One thread computes four neighbouring output pixels of R output channels; a workgroup is one subgroup. It takes the channels
 * of one tap after the other, or, with few channels, all of k as it lies in memory.
 */
const forwardKernel = kernel("conv", ({ rows, wide, flat }: { rows: number; wide: boolean; flat: boolean }, gpu) => ({
  inputs: { a: "f32", b: "vec4f" },
  outputs: { y: wide ? "vec4f" : "f32" },
  uniforms: {
    m: "u32",
    channels: "u32",
    groups: "u32",
    taps: "u32",
    kw: "u32",
    cols: "u32",
    vectors: "u32",
    bPlane: "u32",
    bTap: "u32",
    bDown: "u32",
    bStrideRow: "u32",
    aRow: "u32",
    aChannel: "u32",
    aTap: "u32",
    aFrom: "u32",
    aGroup: "u32",
    outWidth: "u32",
    outArea: "u32",
    outFrom: "u32",
    zFirst: "u32",
  },
  workgroupSize: gpu.subgroupSize || 32,
  subgroups: gpu.subgroupSize > 0,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pixels = workgroup.x * WG + lane;
  let vector = min(pixels, u.vectors - 1u);
  let row = workgroup.y * ${rows}u;
  let z = workgroup.z + u.zFirst;
  let aBase = u.aFrom + (z % u.groups) * u.aGroup;
  let bBase = z * u.channels * u.bPlane + (vector / u.cols) * u.bStrideRow + vector % u.cols;
  ${each(rows, (r) => `let row${r} = aBase + min(row + ${r}u, u.m - 1u) * u.aRow; var acc${r} = vec4f();`)}
  ${flat ? flatTaps(rows, gpu.subgroupSize) : tapByTap(rows, gpu.subgroupSize)}
  if (pixels < u.vectors) {
    let col = (vector % u.cols) * 4u;
    let to = z * u.m * u.outArea + u.outFrom + (vector / u.cols) * u.outWidth + col;
    ${each(rows, (r) => `if (row + ${r}u < u.m) { ${storePixels(wide, r)} }`)}
  }
}`,
}));

function tapByTap(rows: number, lanes: number): string {
  return `for (var tap = 0u; tap < u.taps; tap++) {
    ${each(rows, (r) => `let from${r} = row${r} + tap * u.aTap;`)}
    var at = bBase + (tap / u.kw) * u.bDown + (tap % u.kw) * u.bTap;
    ${productLoop(rows, lanes, evenly("u.channels", "u.aChannel", "u.bPlane"))}
  }`;
}

function flatTaps(rows: number, lanes: number): string {
  const locate = `let c = k / u.taps;
      let tap = k - c * u.taps;
      let ky = tap / u.kw;
      let aAt = c * u.aChannel + tap * u.aTap;
      let bAt = c * u.bPlane + ky * u.bDown + (tap - ky * u.kw) * u.bTap;`;
  return `let at = bBase;
  ${each(rows, (r) => `let from${r} = row${r};`)}
  ${productLoop(rows, lanes, freely("(u.channels * u.taps)", locate))}`;
}

function storePixels(wide: boolean, r: number): string {
  const at = `to + (row + ${r}u) * u.outArea`;
  if (wide) return `y[(${at}) / 4u] = acc${r};`;
  return `for (var j = 0u; j < min(4u, u.outWidth - col); j++) { y[${at} + j] = acc${r}[j]; }`;
}

/** How the weight is read as the left matrix: forward as it is, for the input gradient transposed and with its taps reversed. */
type Direction = "forward" | "transposed";

/** A convolution whose window does not look around: pixels need no rows, so the image is one long one. */
function flattened(geometry: ConvGeometry): ConvGeometry {
  const { kernel: k, stride, padding, height, width } = geometry;
  const pointwise = [...k, ...stride].every((size) => size === 1) && padding.every((size) => size === 0);
  if (!pointwise) return geometry;
  return { ...geometry, height: 1, width: height * width, outHeight: 1, outWidth: height * width };
}

function convolve(gpu: WebGPU, shape: ConvGeometry, x: View, weight: View, y: View, direction: Direction): void {
  const geometry = flattened(shape);
  const { batch, groups, outHeight, outWidth, kernel: taps, stride, padding, dilation, width } = geometry;
  const channels = geometry.channels / groups;
  const m = geometry.outChannels / groups;
  // Rows of x are whole vectors already and only vertical taps look around: x is its own columns.
  const direct = taps[1] === 1 && stride[1] === 1 && padding.every((size) => size === 0) && width % 4 === 0;
  const whole: Part = { image: 0, images: batch, row: 0, rows: outHeight };
  const area = taps[0] * taps[1];
  const forward = direction === "forward";
  const lanes = gpu.subgroupSize || 32;
  const bytesPerRow = geometry.channels * taps[1] * Math.ceil(outWidth / 4) * 16;
  for (const part of direct ? [whole] : partsOf(geometry, bytesPerRow)) {
    const columns = direct
      ? { view: x, rows: geometry.height, cols: width / 4, release: () => {} }
      : shiftedRows(gpu, x, geometry, part);
    const vectors = part.rows * columns.cols;
    const rows = rowsFor(m);
    const depth = part.images * groups;
    for (let zFirst = 0; zFirst < depth; zFirst += 65535) {
      forwardKernel.run(gpu, {
        template: { rows, wide: outWidth % 4 === 0, flat: area > 1 && ragged(gpu, channels) },
        operands: { a: weight, b: columns.view, y },
        uniforms: {
          m,
          channels,
          groups,
          taps: area,
          kw: taps[1],
          cols: columns.cols,
          vectors,
          bPlane: taps[1] * columns.rows * columns.cols,
          bTap: columns.rows * columns.cols,
          bDown: dilation[0] * columns.cols,
          bStrideRow: stride[0] * columns.cols,
          aRow: forward ? channels * area : area,
          aChannel: forward ? area : m * area,
          aTap: forward ? 1 : -1,
          aFrom: forward ? 0 : area - 1,
          aGroup: m * channels * area,
          outWidth,
          outArea: outHeight * outWidth,
          outFrom: part.image * geometry.outChannels * outHeight * outWidth + part.row * outWidth,
          zFirst,
        },
        workgroups: [Math.ceil(vectors / lanes), Math.ceil(m / rows), Math.min(65535, depth - zFirst)],
      });
    }
    columns.release();
  }
}

/** `y = weight ⋆ x`: cross-correlation over NCHW. */
export function conv2d(gpu: WebGPU, { geometry, x, weight, y }: ConvCall): void {
  if (isDepthwise(geometry)) depthwise(gpu, geometry, x, weight, y);
  else convolve(gpu, geometry, x, weight, y, "forward");
}

/** `x` of the call receives the gradient, `y` holds that of the result. */
export function conv2dInputGrad(gpu: WebGPU, { geometry, x, weight, y }: ConvCall): void {
  if (isDepthwise(geometry)) {
    depthwiseInputGrad(gpu, geometry, x, weight, y);
  } else if (geometry.stride[0] === 1 && geometry.stride[1] === 1) {
    convolve(gpu, transposedGeometry(geometry), y, weight, x, "transposed");
  } else {
    gatheredInputGrad(gpu, geometry, x, weight, y);
  }
}

/** The convolution of dy that gives dx at stride 1: channels and sizes swap, and a window reaches as far as it was reached from. */
export function transposedGeometry(geometry: ConvGeometry): ConvGeometry {
  const {
    kernel: [kh, kw],
    dilation,
    padding,
  } = geometry;
  return {
    ...geometry,
    channels: geometry.outChannels,
    height: geometry.outHeight,
    width: geometry.outWidth,
    outChannels: geometry.channels,
    outHeight: geometry.height,
    outWidth: geometry.width,
    // Negative where the padding was wider than the window: then dy is cropped.
    padding: [(kh - 1) * dilation[0] - padding[0], (kw - 1) * dilation[1] - padding[1]],
  };
}

/** Strided: columns = weightᵀ · dy, of which every input pixel gathers its own. Parts are whole images, else channels of one. */
function gatheredInputGrad(gpu: WebGPU, geometry: ConvGeometry, dx: View, weight: View, dy: View): void {
  const { batch, groups, outHeight, outWidth, kernel: taps } = geometry;
  const area = taps[0] * taps[1];
  const n = outHeight * outWidth;
  const channels = geometry.channels / groups;
  const m = geometry.outChannels / groups;
  const perChannel = area * n * 4;
  const images = Math.floor(WORKSPACE_BYTES / (perChannel * geometry.channels));
  const product = (
    image: number,
    count: number,
    group: number,
    groupCount: number,
    c: number,
    cCount: number,
  ): void => {
    const rows = cCount * area;
    const storage = gpu.pool.take(count * groupCount * rows * n * 4, "convolution columns");
    const cols: View = { storage, layout: denseLayout([count, groupCount, rows, n]), dtype: "f32" };
    const transposed: Layout = {
      shape: [count, groupCount, rows, m],
      strides: [0, m * channels * area, 1, channels * area],
      offset: group * m * channels * area + c * area,
    };
    const pixels: Layout = {
      shape: [count, groupCount, m, n],
      strides: [geometry.outChannels * n, m * n, n, 1],
      offset: (image * geometry.outChannels + group * m) * n,
    };
    matmul(gpu, { a: { ...weight, layout: transposed }, b: { ...dy, layout: pixels }, out: cols });
    gatherColumns(gpu, geometry, cols, dx, {
      images: count,
      channels: groupCount * cCount,
      planeFrom: image * geometry.channels + group * channels + c,
      planeStride: geometry.channels,
    });
    storage.release();
  };
  if (images > 0) {
    for (let image = 0; image < batch; image += images) {
      product(image, Math.min(images, batch - image), 0, groups, 0, channels);
    }
    return;
  }
  const step = Math.max(1, Math.floor(WORKSPACE_BYTES / perChannel));
  for (let image = 0; image < batch; image++) {
    for (let group = 0; group < groups; group++) {
      for (let c = 0; c < channels; c += step) product(image, 1, group, 1, c, Math.min(step, channels - c));
    }
  }
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
  let tap = clamped / u.vectors;
  let vector = clamped % u.vectors;
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
    for (var j = 0u; j < min(4u, u.channels - vector * 4u); j++) {
      let k = (vector * 4u + j) * u.taps + tap;
      ${each(rows, (r) => `if (row + ${r}u < u.m) { dw[(to + row + ${r}u) * u.channels * u.taps + k] = acc${r}[j]; }`)}
    }
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
  const locate = `let down = k / u.outWidth;
      let ox = k - down * u.outWidth;
      let image = (first + down) / u.linesPerImage;
      let oy = first + down - image * u.linesPerImage;
      let aAt = image * u.groups * u.m * u.outArea + oy * u.outWidth + ox;
      let bAt = image * u.groups * u.bPlane + oy * u.strideRow + ox * u.strideCol;`;
  return `let at = bBase;
  ${each(rows, (r) => `let from${r} = row${r};`)}
  ${productLoop(rows, lanes, freely("((end - first) * u.outWidth)", locate))}`;
}

/** Pixels that one slice sums in a row; more would let rounding errors grow. */
const SLICE_PIXELS = 8192;

/** `weight` of the call receives the gradient, `y` holds that of the result. Slices are summed in their order. */
export function conv2dWeightGrad(gpu: WebGPU, call: ConvCall): void {
  const { x, weight, y } = call;
  if (isDepthwise(call.geometry)) {
    depthwiseWeightGrad(gpu, call.geometry, x, weight, y);
    return;
  }
  const geometry = flattened(call.geometry);
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
