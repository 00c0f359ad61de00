import { noGrad, record, within } from "../autograd.ts";
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

function finalShape(shape: Shape, axes: readonly number[], keepDim: boolean): Shape {
  return keepDim ? keptShape(shape, axes) : shape.filter((_, axis) => !axes.includes(axis));
}

/**
 * Sum over axes, 0 of nothing; f16 is added up in f32. Truth values are counted in i32; whole numbers keep their type, and wrap around at
 * 32 bits.
 */
export function sum(x: Tensor, { dim, keepDim = false }: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16")
    return throughF32("sum", [x], (x) => sum(x, { ...(dim === undefined ? {} : { dim }), keepDim }));
  const axes = normalizeDims("sum", dim, x.rank);
  const input = x.dtype === "bool" ? cast(x, "i32") : x;
  if (axes.length === 0) return input;
  const kept = keptShape(x.shape, axes);
  const { shape } = x;
  const y = within("sum", () => {
    const sums = reduceAxes("sum", input, axes, input.dtype);
    const shaped = reshape(sums, finalShape(shape, axes, keepDim));
    if (shaped !== sums) sums.dispose();
    return shaped;
  });
  return record(y, "sum", [x, (dy) => expand(reshape(dy, kept), shape)]);
}

/** Mean over axes, NaN of nothing; of whole numbers and truth values in f32, where PyTorch wants a cast. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return throughF32("mean", [x], (x) => mean(x, options));
  const axes = normalizeDims("mean", options.dim, x.rank);
  const count = numel(axes.map((axis) => x.shape[axis]!));
  return within("mean", () => mul(sum(x.dtype === "f32" ? x : cast(x, "f32"), options), 1 / count));
}

/**
 * Mean squared distance from the mean; divided by n − 1 when `unbiased` (the default), else by n. NaN where that is 0 or less: of nothing,
 * and unbiased of one value.
 */
export function variance(x: Tensor, options: ReduceOptions & { readonly unbiased?: boolean } = {}): Tensor {
  checkFloats("variance", { x });
  if (x.dtype === "f16") return throughF32("variance", [x], (x) => variance(x, options));
  const axes = normalizeDims("variance", options.dim, x.rank);
  const count = numel(axes.map((axis) => x.shape[axis]!));
  const divisor = Math.max(0, options.unbiased === false ? count : count - 1);
  return within("variance", () => mul(sum(square(centred(x, axes)), { ...options, dim: axes }), 1 / divisor));
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
export function l2Norm(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkFloats("l2Norm", { x });
  if (x.dtype === "f16") return throughF32("l2Norm", [x], (x) => l2Norm(x, options));
  const axes = normalizeDims("l2Norm", options.dim, x.rank);
  const kept = noGrad(() => sqrt(sum(square(x), { dim: axes, keepDim: true })));
  const y = within("l2Norm", () => noGrad(() => reshape(kept, finalShape(x.shape, axes, options.keepDim ?? false))));
  return record(y, "l2Norm", [x, [x, kept], (dy, x, kept) => mul(reshape(dy, kept.shape), unitOrZero(x, kept))]);
}

function extreme(kind: "max" | "min", x: Tensor, { dim, keepDim = false }: ReduceOptions): Tensor {
  const axes = normalizeDims(kind, dim, x.rank);
  if (axes.length === 0) return x;
  if (axes.some((axis) => x.shape[axis] === 0))
    throw new ShapeError(`${kind}: ${describe(x)} has nothing to choose from`);
  if (x.dtype === "f16") return throughF32(kind, [x], (x) => extreme(kind, x, { dim: axes, keepDim }));
  const kept = reduceAxes(kind, x, axes, x.dtype);
  const y = within(kind, () => reshape(kept, finalShape(x.shape, axes, keepDim)));
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
export function amax(x: Tensor, options: ReduceOptions = {}): Tensor {
  return extreme("max", x, options);
}

/** Smallest value over axes, NaN if there is one; ties share the gradient. */
export function amin(x: Tensor, options: ReduceOptions = {}): Tensor {
  return extreme("min", x, options);
}

/** Values and where they were found. */
export interface Extremes {
  readonly values: Tensor;
  /** i32 positions along the axis. */
  readonly indices: Tensor;
}

function positions(kind: "argmax" | "argmin", x: Tensor, axis: number): Tensor {
  if (x.shape[axis] === 0) throw new ShapeError(`${kind}: ${describe(x)} has nothing to choose from`);
  return x.rank === 0
    ? x.device.zeros([], { dtype: "i32" })
    : noGrad(() => reduceAxes(kind, widened(x), [axis], "i32"));
}

function extremes(kind: "max" | "min", x: Tensor, dim: number, keepDim: boolean): Extremes {
  const axis = normalizeDim(kind, dim, x.rank);
  const indices = positions(kind === "max" ? "argmax" : "argmin", x, axis);
  return within(kind, () => {
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
  { dim, keepDim = false }: { readonly dim?: number; readonly keepDim?: boolean } = {},
): Tensor {
  return within("argmax", () => {
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
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return throughF32("logSumExp", [x], (x) => logSumExp(x, options));
  if (x.dtype !== "f32") return logSumExp(cast(x, "f32"), options);
  const axes = normalizeDims("logSumExp", options.dim, x.rank);
  const [shift, total] = noGrad(() => {
    const largest = reduceAxes("max", x, axes, x.dtype);
    // An infinite shift would be subtracted from itself.
    const shift = where(eq(abs(largest), Number.POSITIVE_INFINITY), 0, largest);
    return [shift, sum(exp(sub(x, shift)), { dim: axes, keepDim: true })] as const;
  });
  const y = within("logSumExp", () =>
    noGrad(() => reshape(add(log(total), shift), finalShape(x.shape, axes, options.keepDim ?? false))),
  );
  return record(y, "logSumExp", [
    x,
    [x, shift, total],
    (dy, x, shift, total) => mul(exp(sub(x, shift)), div(reshape(dy, shift.shape), total)),
  ]);
}
