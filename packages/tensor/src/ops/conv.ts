import { checkFlag, checkOptions, checkTensor } from "../arguments.ts";
import { composed, gradEnabled, noGrad, recordTogether } from "../autograd.ts";
import type { ConvGeometry } from "../backend.ts";
import { DTypeError, describe, ShapeError, shown } from "../errors.ts";
import { deviceOf, emptyIn, filled, launched } from "../making.ts";
import { numel, type Shape } from "../shape.ts";
import type { Device, Tensor } from "../tensor.ts";
import { checkFloats, throughF32 } from "./floats.ts";
import { pad, stack } from "./join.ts";
import { add, maximum } from "./pointwise.ts";
import { max } from "./reduce.ts";
import { sumTo } from "./reduction.ts";
import { reshape, slice } from "./view.ts";

/** A size that is the same for both axes, or (height, width). */
export type Size2d = number | readonly [number, number];

/** The two numbers of a size. */
export function pair(size: Size2d): readonly [number, number] {
  return typeof size === "number" ? [size, size] : size;
}

/** Defaults: no bias, stride 1, padding 0 (zeros on both sides), dilation 1, one group. */
export interface ConvOptions {
  /** (outChannels) */
  readonly bias?: Tensor;
  readonly stride?: Size2d;
  readonly padding?: Size2d;
  readonly dilation?: Size2d;
  readonly groups?: number;
}

/** The two numbers of a size. @throws ShapeError unless both are whole and at least `least`. */
export function checkPair(op: string, name: string, size: Size2d, least: number): readonly [number, number] {
  const both = pair(size);
  if (Array.isArray(both) && both.length === 2 && both.every((x) => Number.isSafeInteger(x) && x >= least)) return both;
  throw new ShapeError(
    `${op}: ${name} ${shown(size)} has to be one or two (height, width) whole numbers of at least ${least}`,
  );
}

const CONV = ["bias", "stride", "padding", "dilation", "groups"] as const satisfies (keyof ConvOptions)[];

function geometryOf(x: Tensor, weight: Tensor, options: ConvOptions): ConvGeometry {
  checkTensor("conv2d", "x", x);
  checkTensor("conv2d", "weight", weight);
  checkOptions("conv2d", options, CONV);
  const { stride = 1, padding = 0, dilation = 1, groups = 1, bias } = options;
  if (bias !== undefined && bias !== null) checkTensor("conv2d", "bias", bias);
  const what = `x ${describe(x)}, weight ${describe(weight)}`;
  if (x.rank !== 4 || weight.rank !== 4) {
    throw new ShapeError(`conv2d: takes x (b, c, h, w) and weight (out, c / groups, kh, kw), got ${what}`);
  }
  checkFloats("conv2d", { x, weight, bias: bias ?? undefined });
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [outChannels, groupChannels, kh, kw] = weight.shape as [number, number, number, number];
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0 || outChannels % groups !== 0) {
    throw new ShapeError(
      `conv2d: groups ${shown(groups)} has to divide the channels, ${channels} in and ${outChannels} out: ${what}`,
    );
  }
  if (channels / groups !== groupChannels) {
    throw new ShapeError(
      `conv2d: channels differ: x has ${channels} in ${groups} groups, weight takes ${groupChannels} a group: ${what}`,
    );
  }
  if (bias && (bias.rank !== 1 || bias.size !== outChannels)) {
    throw new ShapeError(`conv2d: bias ${describe(bias)} does not fit ${outChannels} output channels: ${what}`);
  }
  const steps = {
    stride: checkPair("conv2d", "stride", stride, 1),
    padding: checkPair("conv2d", "padding", padding, 0),
    dilation: checkPair("conv2d", "dilation", dilation, 1),
  };
  if (kh === 0 || kw === 0) throw new ShapeError(`conv2d: the window of weight is empty: ${what}`);
  const [outHeight, outWidth] = ([height, width] as const).map((size, axis) => {
    const reach = steps.dilation[axis]! * (weight.shape[2 + axis]! - 1) + 1;
    const room = size + 2 * steps.padding[axis]! - reach;
    if (room < 0) {
      const padded = size + 2 * steps.padding[axis]!;
      throw new ShapeError(
        `conv2d: the window of ${reach} is larger than the padded image of ${padded} along dim ${axis + 2}: ${what}`,
      );
    }
    return Math.floor(room / steps.stride[axis]!) + 1;
  }) as [number, number];
  return { batch, channels, height, width, outChannels, outHeight, outWidth, kernel: [kh, kw], groups, ...steps };
}

/**
 * Cross-correlation of images: `x (b, c, h, w)`, `weight (out, c / groups, kh, kw)` → `(b, out, h', w')` with
 * `h' = ⌊(h + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1`. With as many groups as channels it is depthwise.
 * @throws ShapeError for sizes that do not fit; DTypeError unless all are f32 or all f16.
 */
export function conv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  const geometry = geometryOf(x, weight, options);
  if (x.dtype === "f16") {
    return throughF32("conv2d", [x, weight, options.bias], (x, weight, bias) =>
      conv2d(x, weight, { ...options, ...(bias ? { bias } : {}) }),
    );
  }
  const device = deviceOf("conv2d", x, weight, ...(options.bias ? [options.bias] : []));
  const { batch, outChannels, outHeight, outWidth } = geometry;
  const shape = [batch, outChannels, outHeight, outWidth];
  const operands = { x: x.dense("conv2d"), weight: weight.dense("conv2d") };
  const [images, filters] = [x.shape, weight.shape];
  const { bias } = options;
  const { backend } = device;
  const convolve = (): Tensor =>
    numel(shape) === 0
      ? device.zeros(shape)
      : launched(device, {
          ...{ shape, dtype: "f32", label: "conv2d", reads: Object.values(operands) },
          record: (y, epilogue) => backend.conv2d({ geometry, ...operands, y, ...(epilogue && { epilogue }) }),
        });
  const ofBias = [1, outChannels, 1, 1];
  const y = bias ? composed("conv2d", () => noGrad(() => add(convolve(), reshape(bias, ofBias)))) : convolve();
  const wants = { weight: weight.requiresGrad, bias: bias?.requiresGrad ?? false };
  const depthwise = geometry.groups === geometry.channels && geometry.groups > 1;
  const inputs = [x, weight, ...(bias ? [bias] : [])];
  recordTogether([y], "conv2d", inputs, [x, weight], ([dy], give, [x, weight], place) => {
    give(0, () => inputGradient(device, dy!, weight!, images, geometry));
    if (wants.weight && wants.bias && depthwise && backend.epilogues && dy!.size > 0) {
      const own = emptyIn(place(1), device, filters, "conv2d.dWeight");
      const sums = emptyIn(place(2), device, [outChannels], "conv2d.dBias");
      const read = { x: x!.dense("conv2d"), y: dy!.dense("conv2d") };
      backend.conv2dWeightGrad({ geometry, ...read, weight: own.view(), sums: sums.view() });
      give(1, own);
      give(2, sums);
      return;
    }
    give(1, () => weightGradient(device, dy!, x!, filters, geometry));
    if (wants.bias) give(2, () => reshape(sumTo(dy!, ofBias), [outChannels]));
  });
  return y;
}

function inputGradient(device: Device, dy: Tensor, weight: Tensor, shape: Shape, geometry: ConvGeometry): Tensor {
  if (dy.size === 0) return device.zeros(shape);
  const operands = { weight: weight.dense("conv2d"), y: dy.dense("conv2d") };
  return launched(device, {
    ...{ shape, dtype: "f32", label: "conv2d.dx", reads: Object.values(operands) },
    record: (x, epilogue) =>
      device.backend.conv2dInputGrad({ geometry, x, ...operands, ...(epilogue && { epilogue }) }),
  });
}

function weightGradient(device: Device, dy: Tensor, x: Tensor, shape: Shape, geometry: ConvGeometry): Tensor {
  if (dy.size === 0) return device.zeros(shape);
  const operands = { x: x.dense("conv2d"), y: dy.dense("conv2d") };
  return filled(device, shape, "f32", "conv2d.dWeight", (weight) =>
    device.backend.conv2dWeightGrad({ geometry, weight, ...operands }),
  );
}

/** What a pooling takes: the window, and its step (default: the window, so that windows tile the image). */
export interface PoolOptions {
  readonly kernel: Size2d;
  readonly stride?: Size2d;
  /** Positions outside the image on both sides of an axis, at most half of the window; default 0. */
  readonly padding?: Size2d;
}

/** The window, the step and the output size of a pooling. */
export interface PoolGeometry {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly outSize: readonly [number, number];
}

/** @throws ShapeError where no window fits, or one would lie in the padding alone. */
export function poolGeometry(op: string, x: Tensor, options: PoolOptions, ceilMode = false): PoolGeometry {
  checkTensor(op, "x", x);
  if (x.rank !== 4) throw new ShapeError(`${op}: takes x (b, c, h, w), got ${describe(x)}`);
  const kernel = checkPair(op, "kernel", options.kernel, 1);
  const stride = checkPair(op, "stride", options.stride ?? kernel, 1);
  const padding = checkPair(op, "padding", options.padding ?? 0, 0);
  const outSize = ([0, 1] as const).map((axis) => {
    const size = x.shape[2 + axis]!;
    const room = (size + 2 * padding[axis] - kernel[axis]) / stride[axis];
    const steps = ceilMode ? Math.ceil(room) : Math.floor(room);
    if (steps < 0) {
      throw new ShapeError(`${op}: the window [${kernel.join(", ")}] is larger than the image of x ${describe(x)}`);
    }
    if (2 * padding[axis] > kernel[axis]) {
      throw new ShapeError(`${op}: the padding [${padding.join(", ")}] is more than half of [${kernel.join(", ")}]`);
    }
    // A window that would begin behind the image is left out.
    return Math.min(steps, Math.floor((size + padding[axis] - 1) / stride[axis])) + 1;
  }) as [number, number];
  return { kernel, stride, padding, outSize };
}

/** What counts nothing where the largest is sought. */
const LEAST = { f32: Number.NEGATIVE_INFINITY, f16: Number.NEGATIVE_INFINITY, i32: -(2 ** 31), u32: 0 } as const;

/**
 * Largest value of each window, NaN if there is one: `x (b, c, h, w)` → `(b, c, ⌊(h + 2·padding − kh) / stride⌋ + 1, …)`. What lies outside
 * the image counts nothing. With `ceilMode` the size is rounded up: a last window may reach beyond the image. The gradient goes to the
 * first of equal values, in row-major order.
 * @throws ShapeError for a window that does not fit; DTypeError for truth values.
 */
export function maxPool2d(x: Tensor, options: PoolOptions & { readonly ceilMode?: boolean }): Tensor {
  checkTensor("maxPool2d", "x", x);
  checkOptions("maxPool2d", options, ["kernel", "stride", "padding", "ceilMode"]);
  checkFlag("maxPool2d", "ceilMode", options.ceilMode);
  if (x.dtype === "bool") throw new DTypeError(`maxPool2d: takes numbers, got x ${describe(x)}`);
  const { kernel, stride, padding, outSize } = poolGeometry("maxPool2d", x, options, options.ceilMode);
  const range = (axis: 0 | 1, tap: number) =>
    [tap, tap + (outSize[axis] - 1) * stride[axis] + 1, stride[axis]] as const;
  const surround = ([0, 1] as const).map((axis) => {
    const behind = (outSize[axis] - 1) * stride[axis] + kernel[axis] - padding[axis] - x.shape[2 + axis]!;
    return [padding[axis], Math.max(0, behind)] as const;
  });
  return composed("maxPool2d", () => {
    const padded = pad(x, [[0, 0], [0, 0], ...surround], { value: LEAST[x.dtype as keyof typeof LEAST] });
    // One strided view of the image for each position in the window.
    const taps = Array.from({ length: kernel[0] * kernel[1] }, (_, tap) =>
      slice(padded, [null, null, range(0, Math.floor(tap / kernel[1])), range(1, tap % kernel[1])]),
    );
    return gradEnabled() && x.requiresGrad ? max(stack(taps, 0), 0).values : taps.reduce((a, b) => maximum(a, b));
  });
}
