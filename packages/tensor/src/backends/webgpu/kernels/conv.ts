import type { ConvCall, ConvGeometry, View } from "../../../backend.ts";
import { denseLayout, type Layout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { flattened, gatherColumns, type Part, partsOf, shiftedRows, WORKSPACE_BYTES } from "./conv-columns.ts";
import { each, evenly, freely, productLoop, ragged, rowsFor } from "./conv-product.ts";
import { weightGrad } from "./conv-weight-grad.ts";
import { depthwise, depthwiseInputGrad, isDepthwise } from "./depthwise.ts";
import { depthwiseWeightGrad } from "./depthwise-weight-grad.ts";
import type { Finish } from "./finish.ts";
import { matmul } from "./matmul.ts";
import { apart, finishing } from "./pointwise.ts";
import { rowByRow } from "./wgsl.ts";

/*
 * Letters: o output channels, c input channels of a group, k = c·kh·kw, n output pixels.
 *
 * A convolution is the product weight (o, k) · columns (k, n). The columns are written out, once for each horizontal tap, since
 * software adapters want their operands as aligned vectors from memory and gain nothing from workgroup memory. On a GPU the same
 * product would read x straight into workgroup memory (implicit GEMM); `forwardKernel` is the place.
 */

/**
 * One thread computes four neighbouring output pixels of R output channels; a workgroup is one subgroup. It takes the channels
 * of one tap after the other, or, with few channels, all of k as it lies in memory.
 */
const forwardKernel = kernel(
  "conv",
  ({ rows, finish, flat }: { rows: number; finish: Finish; flat: boolean }, gpu) => ({
    inputs: { a: "f32", b: "vec4f", ...finish.inputs },
    outputs: finish.outputs,
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
      xFirst: "u32",
      zFirst: "u32",
      ...finish.uniforms,
    },
    workgroupSize: gpu.subgroupSize || 32,
    subgroups: gpu.subgroupSize > 0,
    source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pixels = (workgroup.x + u.xFirst) * WG + lane;
  let vector = min(pixels, u.vectors - 1u);
  let row = workgroup.y * ${rows}u;
  let z = workgroup.z + u.zFirst;
  let aBase = u.aFrom + (z % u.groups) * u.aGroup;
  let line = quotient(vector, u.cols);
  let bBase = z * u.channels * u.bPlane + line * u.bStrideRow + vector - line * u.cols;
  ${each(rows, (r) => `let row${r} = aBase + min(row + ${r}u, u.m - 1u) * u.aRow; var acc${r} = vec4f();`)}
  ${flat ? flatTaps(rows, gpu.subgroupSize) : tapByTap(rows, gpu.subgroupSize)}
  if (pixels < u.vectors) {
    let col = (vector - line * u.cols) * 4u;
    let to = z * u.m * u.outArea + u.outFrom + line * u.outWidth + col;
    ${rowByRow(rows, (r) => `acc${r}`, "u.m", storePixels(finish))}
  }
}`,
  }),
);

function tapByTap(rows: number, lanes: number): string {
  return `for (var tap = 0u; tap < u.taps; tap++) {
    ${each(rows, (r) => `let from${r} = row${r} + tap * u.aTap;`)}
    var at = bBase + (tap / u.kw) * u.bDown + (tap % u.kw) * u.bTap;
    ${productLoop(rows, lanes, evenly("u.channels", "u.aChannel", "u.bPlane"))}
  }`;
}

function flatTaps(rows: number, lanes: number): string {
  const locate = `let c = quotient(k, u.taps);
      let tap = k - c * u.taps;
      let ky = quotient(tap, u.kw);
      let aAt = c * u.aChannel + tap * u.aTap;
      let bAt = c * u.bPlane + ky * u.bDown + (tap - ky * u.kw) * u.bTap;`;
  return `let at = bBase;
  ${each(rows, (r) => `let from${r} = row${r};`)}
  ${productLoop(rows, lanes, freely("(u.channels * u.taps)", locate))}`;
}

function storePixels({ width }: Finish): string {
  if (width === 4) return "finish((to + at * u.outArea) / 4u, result);";
  return "for (var j = 0u; j < min(4u, u.outWidth - col); j++) { finish(to + at * u.outArea + j, result[j]); }";
}

/** Workgroups along one axis, in as many launches as its limit asks for. */
function gridSteps(count: number): (readonly [first: number, count: number])[] {
  const limit = 65535;
  return Array.from(
    { length: Math.ceil(count / limit) },
    (_, i) => [i * limit, Math.min(limit, count - i * limit)] as const,
  );
}

/** How the weight is read as the left matrix: forward as it is, for the input gradient transposed and with its taps reversed. */
type Direction = "forward" | "transposed";

function convolve(gpu: Gpu, { geometry: shape, x, weight, y, epilogue }: ConvCall, direction: Direction): void {
  finishing(gpu, y, epilogue, flattened(shape).outWidth % 4 === 0, (finish) =>
    convolveInto(gpu, shape, x, weight, finish, direction),
  );
}

function convolveInto(
  gpu: Gpu,
  shape: ConvGeometry,
  x: View,
  weight: View,
  finish: Finish,
  direction: Direction,
): void {
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
    const uniforms = {
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
    };
    for (const [zFirst, zCount] of gridSteps(part.images * groups)) {
      for (const [xFirst, xCount] of gridSteps(Math.ceil(vectors / lanes))) {
        forwardKernel.run(gpu, {
          template: { rows, finish, flat: area > 1 && ragged(gpu, channels) },
          operands: { a: weight, b: columns.view, ...finish.operands },
          uniforms: { ...uniforms, xFirst, zFirst, ...finish.values },
          workgroups: [xCount, Math.ceil(m / rows), zCount],
        });
      }
    }
    columns.release();
  }
}

/** `y = weight ⋆ x`: cross-correlation over NCHW. */
export function conv2d(gpu: Gpu, call: ConvCall): void {
  if (isDepthwise(call.geometry)) depthwise(gpu, call);
  else convolve(gpu, call, "forward");
}

/** `x` of the call receives the gradient, `y` holds that of the result. */
export function conv2dInputGrad(gpu: Gpu, call: ConvCall): void {
  const { geometry, x, weight, y } = call;
  if (isDepthwise(geometry)) {
    depthwiseInputGrad(gpu, call);
  } else if (geometry.stride[0] === 1 && geometry.stride[1] === 1) {
    convolve(gpu, { ...call, geometry: transposedGeometry(geometry), x: y, y: x }, "transposed");
  } else {
    apart(gpu, x, call.epilogue, (dx) => gatheredInputGrad(gpu, geometry, dx, weight, y));
  }
}

/** The convolution of dy that gives dx at stride 1: channels and sizes swap, and a window reaches as far as it was reached from. */
function transposedGeometry(geometry: ConvGeometry): ConvGeometry {
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
function gatheredInputGrad(gpu: Gpu, geometry: ConvGeometry, dx: View, weight: View, dy: View): void {
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

/** `weight` of the call receives the gradient, `y` holds that of the result. */
export function conv2dWeightGrad(gpu: Gpu, call: ConvCall): void {
  if (isDepthwise(call.geometry)) depthwiseWeightGrad(gpu, call);
  else weightGrad(gpu, call);
}
