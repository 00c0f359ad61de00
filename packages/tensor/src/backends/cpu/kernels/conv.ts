import type { ConvCall, ConvGeometry, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { CpuEngine, Take } from "../engine.ts";
import { kernel, variants } from "../kernel.ts";
import type { Block } from "../storage.ts";
import { i32 } from "../wasm/values.ts";
import { columnProductKernel, offsetsKernel, weightProductKernel, weightScratch } from "./columns.ts";
import { copy } from "./copy.ts";
import { depthwise, depthwiseWeightGrad, MAX_TAPS, type PaddedImage } from "./depthwise.ts";
import { blockingOf, DEPTH, packedSize, packKernel, stretchOf } from "./gemm.ts";

/*
 * Letters: o output channels of a group, k = c·kh·kw taps of a group, n output pixels. A convolution is the product weight (o, k) ·
 * columns (k, n), whose columns are packed straight out of the padded image, a panel at a time, in each thread's own scratch memory.
 * The gradient of the input is the convolution of dy, spread by the stride, with the weights turned round; that of the weights is
 * the product dy (o, n) · columnsᵀ.
 */

/** A unit fills one row of the padded image: zeros, and the input's row where there is one, its pixels `stepX` apart. */
const padKernel = variants((spread: boolean) =>
  kernel(
    "conv-pad",
    {
      x: "i32",
      y: "i32",
      height: "i32",
      width: "i32",
      rows: "i32",
      cols: "i32",
      top: "i32",
      left: "i32",
      stepY: "i32",
      stepX: "i32",
    },
    (f, a) => {
      f.units((unit) => {
        const plane = f.let(unit.divU(a.rows));
        const to = f.let(a.y.add(unit.mul(a.cols).shl(2)));
        const row = f.let(unit.remU(a.rows).sub(a.top));
        f.fillBytes(to, 0, a.cols.shl(2));
        const source = f.let(spread ? row.divU(a.stepY) : row);
        const hit = row.geS(0).and(source.ltU(a.height));
        f.if(spread ? hit.and(row.remU(a.stepY).eqz()) : hit, () => {
          const from = f.let(a.x.add(plane.mul(a.height).add(source).mul(a.width).shl(2)));
          if (!spread) {
            // Columns that fall outside on either side are left out.
            const skip = f.let(a.left.ltS(0).select(i32(0).sub(a.left), i32(0)));
            const start = f.let(a.left.add(skip));
            const room = f.let(a.cols.sub(start));
            const count = f.let(a.width.sub(skip));
            const fits = f.let(count.ltS(room).select(count, room));
            f.if(fits.gtS(0), () => f.copyBytes(to.add(start.shl(2)), from.add(skip.shl(2)), fits.shl(2)));
            return;
          }
          const col = f.let(a.left);
          f.range(0, a.width, 1, () => {
            f.if(col.ltU(a.cols), () => f.store(to.add(col.shl(2)), from.i32()));
            f.advance(col, a.stepX);
            f.advance(from, 4);
          });
        });
      });
    },
  ),
);

interface Padding {
  readonly rows: number;
  readonly cols: number;
  readonly top: number;
  readonly left: number;
  readonly step: readonly [number, number];
}

/** An image of `planes` with zeros around it; the image itself where there are none. */
function padded(
  cpu: CpuEngine,
  take: Take,
  view: View,
  [planes, height, width]: readonly [number, number, number],
  padding: Padding,
): PaddedImage {
  const { rows, cols, top, left, step } = padding;
  const x = cpu.address(view);
  const spread = step[0] > 1 || step[1] > 1;
  const shape = { rowBytes: 4 * cols, planeBytes: 4 * rows * cols };
  if (rows === height && cols === width && top === 0 && left === 0 && !spread) {
    return { address: x, ...shape };
  }
  const block = take(4 * planes * rows * cols, "padded image");
  const args = { x, y: block.place, height, width, rows, cols, top, left, stepY: step[0], stepX: step[1] };
  cpu.launch(padKernel(spread), args, planes * rows, 20 + cols * (spread ? 1 : 0.3));
  return { address: block.place, ...shape };
}

function paddedInput(cpu: CpuEngine, take: Take, { geometry: g, x }: ConvCall): PaddedImage {
  const [top, left] = g.padding;
  // As far as the windows reach: what a stride leaves over is never read.
  const reach = (axis: 0 | 1, out: number): number =>
    (out - 1) * g.stride[axis] + g.dilation[axis] * (g.kernel[axis] - 1) + 1;
  const rows = Math.max(reach(0, g.outHeight), top > 0 ? 0 : g.height);
  const cols = Math.max(reach(1, g.outWidth), left > 0 ? 0 : g.width);
  const planes = [g.batch * g.channels, g.height, g.width] as const;
  return padded(cpu, take, x, planes, { rows, cols, top, left, step: [1, 1] });
}

function isDepthwise({ channels, groups, kernel: [kh, kw] }: ConvGeometry): boolean {
  return channels === groups && groups > 1 && kh * kw <= MAX_TAPS;
}

/** The offset, in bytes, of every tap of a group from a window's first pixel. */
function tapOffsets(cpu: CpuEngine, take: Take, g: ConvGeometry, image: PaddedImage): Block {
  const taps = (g.channels / g.groups) * g.kernel[0] * g.kernel[1];
  const table = take(4 * taps + 64, "convolution taps");
  const args = {
    y: table.place,
    window: g.kernel[0] * g.kernel[1],
    kernelWidth: g.kernel[1],
    plane: image.planeBytes,
    tapRow: g.dilation[0] * image.rowBytes,
    tapCol: g.dilation[1] * 4,
  };
  cpu.launch(offsetsKernel, args, taps, 3);
  return table;
}

/** Panels of a dense (groups, lines, depth) matrix. */
function packed(
  cpu: CpuEngine,
  take: Take,
  x: number,
  groups: number,
  [lines, depth]: readonly [number, number],
): Block {
  const { rows } = blockingOf(cpu.options.target);
  const block = take(4 * groups * packedSize(lines, depth, rows), "convolution panels");
  const panels = Math.ceil(lines / rows);
  const args = {
    x,
    y: block.place,
    panels,
    lines,
    depth,
    inner: groups,
    strideP: 0,
    strideQ: 4 * lines * depth,
    strideLine: 4 * depth,
    strideDepth: 4,
  };
  cpu.launch(packKernel({ lines: rows, order: "along" }), args, groups * panels, 10 + depth * rows * 0.3);
  return block;
}

/** Weight times columns over a padded image: `weight (outChannels, k)` dense, result (batch, outChannels, outHeight, outWidth). */
function product(cpu: CpuEngine, take: Take, g: ConvGeometry, image: PaddedImage, weight: number, y: number): void {
  const { cols, speed } = blockingOf(cpu.options.target);
  const outputs = g.outChannels / g.groups;
  const taps = (g.channels / g.groups) * g.kernel[0] * g.kernel[1];
  const area = g.outHeight * g.outWidth;
  const panels = packed(cpu, take, weight, g.groups, [outputs, taps]);
  const offsets = tapOffsets(cpu, take, g, image);
  const scratch = take(cpu.options.threads * DEPTH * cols * 4, "convolution scratch");
  const blocks = Math.ceil(area / cols);
  const args = {
    a: panels.place,
    x: image.address,
    y,
    offsets: offsets.place,
    scratch: scratch.place,
    groups: g.groups,
    outputs,
    taps,
    area,
    blocks,
    outWidth: g.outWidth,
    stepRow: g.stride[0] * image.rowBytes,
    stepCol: g.stride[1] * 4,
    groupBytes: (g.channels / g.groups) * image.planeBytes,
    stretch: stretchOf(taps),
  };
  const form = columnProductKernel(g.stride[1] === 1);
  const cost = (2 * cols * outputs * taps) / speed + taps * cols * 0.3;
  cpu.launch(form, args, g.batch * g.groups * blocks, 20 + cost);
}

/** Cross-correlation of NCHW images. */
export function conv2d(cpu: CpuEngine, call: ConvCall): void {
  cpu.withTemporaries((take) => {
    const g = call.geometry;
    const image = paddedInput(cpu, take, call);
    const [weight, y] = [cpu.address(call.weight), cpu.address(call.y)];
    if (isDepthwise(g)) depthwise(cpu, g, image, weight, y);
    else product(cpu, take, g, image, weight, y);
  });
}

/** The weights with inputs and outputs of each group swapped and the window turned by half a turn, dense. */
function turnedWeights(cpu: CpuEngine, take: Take, { geometry: g, weight }: ConvCall): View {
  const [kh, kw] = g.kernel;
  const [inputs, outputs] = [g.channels / g.groups, g.outChannels / g.groups];
  const shape = [g.groups, inputs, outputs, kh, kw];
  const strides = [outputs * inputs * kh * kw, kh * kw, inputs * kh * kw, -kw, -1];
  const offset = weight.layout.offset + kh * kw - 1;
  const storage = take(4 * g.outChannels * inputs * kh * kw, "turned weights");
  const turned: View = { storage, layout: denseLayout(shape), dtype: "f32" };
  copy(cpu, { out: turned, input: { ...weight, layout: { shape, strides, offset } } });
  return turned;
}

/** The gradient of the input: `call.x` receives it, `call.y` is dy. */
export function conv2dInputGrad(cpu: CpuEngine, call: ConvCall): void {
  cpu.withTemporaries((take) => inputGrad(cpu, take, call));
}

function inputGrad(cpu: CpuEngine, take: Take, call: ConvCall): void {
  const g = call.geometry;
  const reach = [g.dilation[0] * (g.kernel[0] - 1), g.dilation[1] * (g.kernel[1] - 1)] as const;
  const image = padded(cpu, take, call.y, [g.batch * g.outChannels, g.outHeight, g.outWidth], {
    rows: g.height + reach[0],
    cols: g.width + reach[1],
    top: reach[0] - g.padding[0],
    left: reach[1] - g.padding[1],
    step: g.stride,
  });
  const back: ConvGeometry = {
    ...g,
    channels: g.outChannels,
    outChannels: g.channels,
    height: g.height + reach[0],
    width: g.width + reach[1],
    outHeight: g.height,
    outWidth: g.width,
    stride: [1, 1],
    padding: [0, 0],
  };
  const turned = turnedWeights(cpu, take, call);
  const [weight, dx] = [cpu.address(turned), cpu.address(call.x)];
  if (isDepthwise(g) && g.outChannels === g.channels) depthwise(cpu, back, image, weight, dx);
  else product(cpu, take, back, image, weight, dx);
}

/** The gradient of the weights: `call.weight` receives it, `call.y` is dy. */
export function conv2dWeightGrad(cpu: CpuEngine, call: ConvCall): void {
  cpu.withTemporaries((take) => {
    const g = call.geometry;
    const image = paddedInput(cpu, take, call);
    const [dWeight, dy] = [cpu.address(call.weight), cpu.address(call.y)];
    if (isDepthwise(g)) depthwiseWeightGrad(cpu, g, image, dWeight, dy);
    else weightProduct(cpu, take, g, image, dWeight, dy);
  });
}

function weightProduct(
  cpu: CpuEngine,
  take: Take,
  g: ConvGeometry,
  image: PaddedImage,
  dWeight: number,
  dy: number,
): void {
  const blocking = blockingOf(cpu.options.target);
  const { cols, speed } = blocking;
  const outputs = g.outChannels / g.groups;
  const taps = (g.channels / g.groups) * g.kernel[0] * g.kernel[1];
  const area = g.outHeight * g.outWidth;
  const panels = packed(cpu, take, dy, g.batch * g.groups, [outputs, area]);
  const offsets = tapOffsets(cpu, take, g, image);
  const scratch = take(cpu.options.threads * weightScratch(blocking, outputs), "convolution scratch");
  const blocks = Math.ceil(taps / cols);
  const args = {
    a: panels.place,
    x: image.address,
    y: dWeight,
    offsets: offsets.place,
    scratch: scratch.place,
    batch: g.batch,
    groups: g.groups,
    outputs,
    taps,
    area,
    blocks,
    outWidth: g.outWidth,
    stepRow: g.stride[0] * image.rowBytes,
    stepCol: g.stride[1] * 4,
    groupBytes: (g.channels / g.groups) * image.planeBytes,
    stretch: stretchOf(area),
  };
  const cost = (2 * g.batch * cols * outputs * area) / speed + g.batch * area * cols * 0.3;
  cpu.launch(weightProductKernel(g.stride[1] === 1), args, g.groups * blocks, 20 + cost);
}
