import * as E from "../expr/expr.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { assign } from "./assign.ts";
import { pointwise } from "./formula.ts";
import { add, mul } from "./pointwise.ts";
import { narrow, reshape } from "./view.ts";

/** Running statistics, which a batch moves. */
export interface RunningStatistics {
  /** (c), f32 */
  readonly mean: Tensor;
  /** (c), f32 */
  readonly variance: Tensor;
  /** How many batches have moved them: one number, i32. */
  readonly count: Tensor;
  /** How far a batch moves them towards its own, from 0 to 1. */
  readonly momentum: number;
}

/** The normalised batch and the statistics that it was normalised with, which carry no gradient. */
export interface BatchNormResult {
  readonly y: Tensor;
  /** (c) */
  readonly mean: Tensor;
  /** (c), divided by the number of values (biased) where it is the batch's. */
  readonly variance: Tensor;
}

/** What a batch is normalised with, beside its own statistics. */
export interface Own {
  readonly weight: Tensor | undefined;
  readonly bias: Tensor | undefined;
  readonly eps: number;
  readonly running: RunningStatistics | undefined;
}

/** `(x − mean) · slope + constant`, of each channel. */
export const scaled: (x: Tensor, mean: Tensor, slope: Tensor, constant: Tensor) => Tensor = pointwise(
  "batchNorm",
  (x, mean, slope, constant) => E.add(E.mul(E.sub(x!, mean!), slope!), constant!),
);
/** `dy · slope + (x − mean) · factor + constant`. */
export const byInput: (dy: Tensor, slope: Tensor, x: Tensor, mean: Tensor, factor: Tensor, constant: Tensor) => Tensor =
  pointwise("batchNorm.grad", (dy, slope, x, mean, factor, constant) =>
    E.add(E.add(E.mul(dy!, slope!), E.mul(E.sub(x!, mean!), factor!)), constant!),
  );

/** x's shape with all axes but the channels' 1. */
export function keptChannels({ shape }: Tensor): number[] {
  return shape.map((size, axis) => (axis === 1 ? size : 1));
}

/** One of several rows of statistics, in this shape. */
export function row(rows: Tensor, i: number, shape: Shape): Tensor {
  return reshape(narrow(rows, 0, i, 1), shape);
}

/** Moves running statistics towards a batch's mean and unbiased variance. */
export function move(running: RunningStatistics, mean: Tensor, variance: Tensor): void {
  // What it is made of goes at once, so that nothing else holds the old numbers, and they are written over where they lie.
  const blend = (old: Tensor, now: Tensor): Tensor => {
    using rest = mul(old, 1 - running.momentum);
    using share = mul(now, running.momentum);
    return add(rest, share);
  };
  assign(running.mean, blend(running.mean, mean));
  assign(running.variance, blend(running.variance, variance));
  assign(running.count, add(running.count, 1));
}
