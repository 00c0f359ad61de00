import { checkFlag, checkOptions, checkTensor } from "../arguments.ts";
import { composed, noGrad, record } from "../autograd.ts";
import { describe, ShapeError } from "../errors.ts";
import * as E from "../expr/expr.ts";
import { normalizeDim, normalizeDims, numel, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, throughF32, widened } from "./floats.ts";
import { pointwise } from "./formula.ts";
import { gather } from "./gather.ts";
import { abs, add, cast, div, eq, exp, log, mul, sqrt, square, sub, where } from "./pointwise.ts";
import { keptShape, reduceAxes } from "./reduction.ts";
import { expand, reshape, squeeze } from "./view.ts";

/** Which axes a reduction works on, and whether they stay as axes of size 1. */
export interface ReduceOptions {
  /** One axis or several; default all. Negative ones count from the end. */
  readonly dim?: number | readonly number[];
  readonly keepDim?: boolean;
}

/** A dim may stand in the place of the options, as in `sum(x, 1)` and `sum(x, 1, true)`. */
export type ReduceArgument<Options = ReduceOptions> = Options | number | readonly number[];

const REDUCE = ["dim", "keepDim"] as const satisfies (keyof ReduceOptions)[];

/** The options, from what stands in their place. */
function reduceOptions<Options extends ReduceOptions>(
  op: string,
  x: Tensor,
  given: ReduceArgument<Options>,
  keepDim: boolean | undefined,
  known: readonly string[] = REDUCE,
): Options {
  checkTensor(op, "x", x);
  checkFlag(op, "keepDim", keepDim);
  // Fields that are absent are those that `Options` lets be absent.
  const options = (typeof given === "number" || Array.isArray(given) ? { dim: given } : given) as Options;
  checkOptions(op, options, known);
  checkFlag(op, "keepDim", options.keepDim);
  return keepDim === undefined ? options : { ...options, keepDim };
}

function finalShape(shape: Shape, axes: readonly number[], keepDim: boolean): Shape {
  return keepDim ? keptShape(shape, axes) : shape.filter((_, axis) => !axes.includes(axis));
}

/**
 * Sum over axes, 0 of nothing; f16 is added up in f32. Truth values are counted in i32; whole numbers keep their type, and wrap around at
 * 32 bits.
 */
export function sum(x: Tensor, options: ReduceArgument = {}, keepDims?: boolean): Tensor {
  const { dim, keepDim = false } = reduceOptions("sum", x, options, keepDims);
  if (x.dtype === "f16")
    return throughF32("sum", [x], (x) => sum(x, { ...(dim === undefined ? {} : { dim }), keepDim }));
  const axes = normalizeDims("sum", dim, x.rank);
  const input = x.dtype === "bool" ? cast(x, "i32") : x;
  if (axes.length === 0) return input;
  const kept = keptShape(x.shape, axes);
  const { shape } = x;
  const y = composed("sum", () => {
    const sums = reduceAxes("sum", input, axes, input.dtype);
    return reshape(sums, finalShape(shape, axes, keepDim));
  });
  return record(y, "sum", [x, (dy) => expand(reshape(dy, kept), shape)]);
}

/** Mean over axes, NaN of nothing; of whole numbers and truth values in f32, where PyTorch wants a cast. */
export function mean(x: Tensor, argument: ReduceArgument = {}, keepDim?: boolean): Tensor {
  const options = reduceOptions("mean", x, argument, keepDim);
  if (x.dtype === "f16") return throughF32("mean", [x], (x) => mean(x, options));
  const axes = normalizeDims("mean", options.dim, x.rank);
  const count = numel(axes.map((axis) => x.shape[axis]!));
  return composed("mean", () => mul(sum(x.dtype === "f32" ? x : cast(x, "f32"), options), 1 / count));
}

/**
 * Mean squared distance from the mean; divided by n − 1 when `unbiased` (the default), else by n. NaN where that is 0 or less: of nothing,
 * and unbiased of one value.
 */
export function variance(
  x: Tensor,
  argument: ReduceArgument<ReduceOptions & { readonly unbiased?: boolean }> = {},
  keepDim?: boolean,
): Tensor {
  const { unbiased = true, ...options } = reduceOptions("variance", x, argument, keepDim, [...REDUCE, "unbiased"]);
  checkFlag("variance", "unbiased", unbiased);
  checkFloats("variance", { x });
  if (x.dtype === "f16") return throughF32("variance", [x], (x) => variance(x, { ...options, unbiased }));
  const axes = normalizeDims("variance", options.dim, x.rank);
  const count = numel(axes.map((axis) => x.shape[axis]!));
  const divisor = Math.max(0, unbiased ? count - 1 : count);
  return composed("variance", () => mul(sum(square(centred(x, axes)), { ...options, dim: axes }), 1 / divisor));
}

/**
 * Distances from the mean over axes. The mean is rounded, by much where it is large beside the distances: what is left of it in them is
 * taken out as well.
 */
function centred(x: Tensor, axes: readonly number[]): Tensor {
  const distances = sub(x, mean(x, { dim: axes, keepDim: true }));
  return sub(
    distances,
    noGrad(() => mean(distances, { dim: axes, keepDim: true })),
  );
}

const unitOrZero: (x: Tensor, length: Tensor) => Tensor = pointwise("l2Norm.grad", (x, length) =>
  E.select(E.eq(length!, 0), E.constant(0), E.div(x!, length!)),
);

/** Euclidean length over axes; the gradient at the zero vector is 0. */
export function l2Norm(x: Tensor, argument: ReduceArgument = {}, keepDim?: boolean): Tensor {
  const options = reduceOptions("l2Norm", x, argument, keepDim);
  checkFloats("l2Norm", { x });
  if (x.dtype === "f16") return throughF32("l2Norm", [x], (x) => l2Norm(x, options));
  const axes = normalizeDims("l2Norm", options.dim, x.rank);
  return composed("l2Norm", () => {
    const [y, kept] = noGrad(() => {
      const kept = sqrt(sum(square(x), { dim: axes, keepDim: true }));
      return [reshape(kept, finalShape(x.shape, axes, options.keepDim ?? false)), kept] as const;
    });
    return record(y, "l2Norm", [x, [x, kept], (dy, x, kept) => mul(reshape(dy, kept.shape), unitOrZero(x, kept))]);
  });
}

function extreme(kind: "max" | "min", x: Tensor, argument: ReduceArgument, keepDims: boolean | undefined): Tensor {
  const { dim, keepDim = false } = reduceOptions(`a${kind}`, x, argument, keepDims);
  const axes = normalizeDims(`a${kind}`, dim, x.rank);
  if (axes.length === 0) return x;
  if (axes.some((axis) => x.shape[axis] === 0))
    throw new ShapeError(`a${kind}: ${describe(x)} has nothing to choose from`);
  if (x.dtype === "f16") return throughF32(kind, [x], (x) => extreme(kind, x, { dim: axes, keepDim }, undefined));
  const kept = reduceAxes(kind, x, axes, x.dtype);
  const y = composed(kind, () => reshape(kept, finalShape(x.shape, axes, keepDim)));
  return record(y, kind, [
    x,
    [x, kept],
    (dy, x, kept) => {
      const ties = cast(eq(x, kept), "f32");
      return mul(ties, div(reshape(dy, kept.shape), sum(ties, { dim: axes, keepDim: true })));
    },
  ]);
}

/** Largest value over axes, NaN if there is one; ties share the gradient. */
export function amax(x: Tensor, options: ReduceArgument = {}, keepDim?: boolean): Tensor {
  return extreme("max", x, options, keepDim);
}

/** Smallest value over axes, NaN if there is one; ties share the gradient. */
export function amin(x: Tensor, options: ReduceArgument = {}, keepDim?: boolean): Tensor {
  return extreme("min", x, options, keepDim);
}

/** Values and where they were found. */
export interface Extremes {
  readonly values: Tensor;
  /** i32 positions along the axis. */
  readonly indices: Tensor;
}

function positions(kind: "argmax" | "argmin", x: Tensor, axis: number): Tensor {
  if (x.shape[axis] === 0) throw new ShapeError(`${kind}: ${describe(x)} has nothing to choose from`);
  const found =
    x.rank === 0 ? x.device.zeros([], { dtype: "i32" }) : noGrad(() => reduceAxes(kind, widened(x), [axis], "i32"));
  // No gather has to look at them again.
  found.value(kind).below = x.shape[axis] ?? 1;
  return found;
}

function extremes(kind: "max" | "min", x: Tensor, dim: number, keepDim: boolean): Extremes {
  checkTensor(kind, "x", x);
  checkFlag(kind, "keepDim", keepDim);
  const axis = normalizeDim(kind, dim, x.rank);
  const indices = positions(kind === "max" ? "argmax" : "argmin", x, axis);
  return composed(kind, () => {
    const values = gather(x, axis, indices);
    return keepDim ? { values, indices } : { values: squeeze(values, axis), indices: squeeze(indices, axis) };
  });
}

/** Largest values along an axis and their first positions; the gradient goes to those. */
export function max(x: Tensor, dim: number, keepDim = false): Extremes {
  return extremes("max", x, dim, keepDim);
}

/** Smallest values along an axis and their first positions; the gradient goes to those. */
export function min(x: Tensor, dim: number, keepDim = false): Extremes {
  return extremes("min", x, dim, keepDim);
}

/** Position (i32) of the first largest value along an axis, or in the flattened tensor when no axis is given. */
export function argmax(
  x: Tensor,
  argument: { readonly dim?: number; readonly keepDim?: boolean } | number = {},
  keepDims?: boolean,
): Tensor {
  const { dim, keepDim = false } = reduceOptions<{ readonly dim?: number; readonly keepDim?: boolean }>(
    "argmax",
    x,
    argument,
    keepDims,
  );
  if (dim !== undefined) normalizeDim("argmax", dim, x.rank);
  return composed("argmax", () => {
    if (dim === undefined)
      return reshape(positions("argmax", reshape(x, [-1]), 0), keepDim ? x.shape.map(() => 1) : []);
    const axis = normalizeDim("argmax", dim, x.rank);
    const found = positions("argmax", x, axis);
    return keepDim ? found : squeeze(found, axis);
  });
}

/**
 * `log Σ exp(x)` over axes, of whole numbers in f32; shifted by the maximum so that it does not overflow: −∞ of nothing but −∞, +∞ where one
 * is, NaN where one is. Its gradient is the softmax.
 */
export function logSumExp(x: Tensor, argument: ReduceArgument = {}, keepDim?: boolean): Tensor {
  const options = reduceOptions("logSumExp", x, argument, keepDim);
  if (x.dtype === "f16") return throughF32("logSumExp", [x], (x) => logSumExp(x, options));
  if (x.dtype !== "f32") return logSumExp(cast(x, "f32"), options);
  const axes = normalizeDims("logSumExp", options.dim, x.rank);
  return composed("logSumExp", () => {
    const [y, shift, total] = noGrad(() => {
      const largest = reduceAxes("max", x, axes, x.dtype);
      // An infinite shift would be subtracted from itself.
      const shift = where(eq(abs(largest), Number.POSITIVE_INFINITY), 0, largest);
      const total = sum(exp(sub(x, shift)), { dim: axes, keepDim: true });
      return [reshape(add(log(total), shift), finalShape(x.shape, axes, options.keepDim ?? false)), shift, total];
    }) as [Tensor, Tensor, Tensor];
    return record(y, "logSumExp", [
      x,
      [x, shift, total],
      (dy, x, shift, total) => mul(exp(sub(x, shift)), div(reshape(dy, shift.shape), total)),
    ]);
  });
}
