/**
 * Batch normalisation where each of several processes has a part of the batch. Forward they tell each other the number, mean and distances of what they have, backward
 * the two sums that the gradient of x is made of; JavaScript makes one of them in 64 bits and in the order of processes, so that all have the same bits.
 * @see PyTorch's SyncBatchNorm
 */
import { noGrad, recordTogether } from "../autograd.ts";
import { ShapeError } from "../errors.ts";
import { empty, emptyIn } from "../making.ts";
import type { Storage } from "../storage.ts";
import type { Tensor } from "../tensor.ts";
import { type BatchNormResult, byInput, keptChannels, move, type Own, row } from "./batch-norm-parts.ts";
import { type HostWork, hostCall } from "./host-call.ts";
import { cat, stack } from "./join.ts";
import { add, mul, neg, square, sub } from "./pointwise.ts";
import { mean, sum } from "./reduce.ts";
import { reshape } from "./view.ts";

/** How processes tell each other numbers: each method gives the same in all of them, once all have called it. A `Communicator` of `@deplsr/distributed` is one. */
export interface BatchExchange {
  /** The values of every process, in the order of processes. */
  allGather(values: Float64Array): Promise<Float64Array[]>;
  /** The same, for which the calling thread stands still: for devices that compute in it. */
  allGatherSync(values: Float64Array): Float64Array[];
  /** Value by value the sum of all processes'. */
  allReduce(values: Float64Array): Promise<Float64Array>;
  allReduceSync(values: Float64Array): Float64Array;
}

/** Rows of the statistics of the whole batch: six as `BatchStatsCall` has them, without weight and bias, and the unbiased variance. */
const MEAN = 0;
const VARIANCE = 1;
const SCALE = 2;
const SHIFT = 3;
const UNBIASED = 6;
const ROWS = 7;

/** `batchNorm` with the statistics of all processes together. */
export function withExchange(x: Tensor, { weight, bias, eps, running }: Own, exchange: BatchExchange): BatchNormResult {
  const channels = x.shape[1]!;
  const count = x.size / channels;
  const kept = keptChannels(x);
  const wide = (t: Tensor): Tensor => reshape(t, kept);
  const { y, stats } = noGrad(() => {
    const merge = (parts: readonly Float64Array[]): Float32Array => {
      const whole = merged(parts, channels, eps);
      if (running && whole.count < 2) {
        throw new ShapeError(
          "batchNorm: all processes have no two values of a channel together, whose variance running statistics move to",
        );
      }
      return whole.stats;
    };
    const stats = hostCall(ownStatistics(x), [ROWS, channels], {
      now: (values) => merge(exchange.allGatherSync(partOf(values, count, channels))),
      later: async (values) => merge(await exchange.allGather(partOf(values, count, channels))),
    });
    const weighted = weight ? mul(normalised(x, stats), wide(weight)) : normalised(x, stats);
    const y = bias ? add(weighted, wide(bias)) : weighted;
    if (running) move(running, row(stats, MEAN, [channels]), row(stats, UNBIASED, [channels]));
    return { y, stats };
  });
  const inputs = [x, ...(weight ? [weight] : []), ...(bias ? [bias] : [])];
  const wants = x.requiresGrad;
  if (inputs.some((input) => input.requiresGrad)) {
    const needs = [x, stats, ...(weight ? [weight] : [])];
    recordTogether([y], "batchNorm", inputs, needs, ([dy], give, saved, place) => {
      const [x, stats, weight] = saved as [Tensor, Tensor, Tensor?];
      const last = inputs.length - 1;
      const sums = ownSums(x, stats, dy!, [weight ? place(1) : undefined, bias ? place(last) : undefined]);
      if (wants) {
        const shares = hostCall(cat(sums, 0), [2, channels], shareWork(exchange, count));
        const [ofDyN, ofDy] = [row(shares, 0, [channels]), row(shares, 1, [channels])];
        const [scale, shift] = [row(stats, SCALE, [channels]), row(stats, SHIFT, [channels])];
        const slope = weight ? mul(scale, weight) : scale;
        // slope · (dy − mean(dy) − n · mean(dy n)), n = (x − mean) · scale + shift
        const factor = neg(mul(mul(slope, scale), ofDyN));
        const constant = neg(mul(slope, add(ofDy, mul(shift, ofDyN))));
        give(0, byInput(dy!, wide(slope), x, row(stats, MEAN, kept), wide(factor), wide(constant)));
      }
      if (weight) give(1, sums[0]);
      if (bias) give(last, sums[1]);
    });
  }
  return { y, mean: row(stats, MEAN, [channels]), variance: row(stats, VARIANCE, [channels]) };
}

/** Of what this process has, the rows of a `BatchStatsCall` up to the shift; of nothing any numbers. */
function ownStatistics(x: Tensor): Tensor {
  const { device, shape } = x;
  const { backend } = device;
  const [batch, channels] = shape as [number, number];
  if (x.size === 0) return empty(device, [SHIFT + 1, channels], "f32", "batchNorm.stats");
  if (backend.batchStats) {
    const stats = empty(device, [6, channels], "f32", "batchNorm.stats");
    // Its scale is not used for anything; an eps of 1 keeps it a number where all values are one.
    const call = { batch, channels, area: x.size / batch / channels, eps: 1 };
    backend.batchStats({ ...call, x: x.dense("batchNorm"), stats: stats.view() });
    return stats;
  }
  const dim = axesBesideChannels(x);
  const wide = (t: Tensor): Tensor => reshape(t, keptChannels(x));
  const average = mean(x, { dim });
  const centred = sub(x, wide(average));
  const rest = mean(centred, { dim });
  const spread = mean(square(sub(centred, wide(rest))), { dim });
  return stack([average, spread, device.ones([channels]), neg(rest)], 0);
}

/** What a process tells the others: how many values each channel has here, their means and the sums of their squared distances from those. */
function partOf(stats: Float32Array, count: number, channels: number): Float64Array {
  const part = new Float64Array(1 + 2 * channels);
  part[0] = count;
  if (count === 0) return part;
  for (let c = 0; c < channels; c++) {
    // The shift is what the mean lost when it was rounded.
    part[1 + c] = stats[c]! - stats[SHIFT * channels + c]! / stats[SCALE * channels + c]!;
    part[1 + channels + c] = stats[VARIANCE * channels + c]! * count;
  }
  return part;
}

/** The statistics of all parts together. @see https://doi.org/10.1080/00031305.1983.10483115 (Chan, Golub, LeVeque) */
function merged(
  parts: readonly Float64Array[],
  channels: number,
  eps: number,
): { readonly count: number; readonly stats: Float32Array } {
  for (const [rank, { length }] of parts.entries()) {
    if (length === 1 + 2 * channels) continue;
    throw new ShapeError(
      `batchNorm: process ${rank} normalises ${(length - 1) / 2} channels where this one has ${channels}: all have to call the same layers in the same order`,
    );
  }
  const count = parts.reduce((sum, part) => sum + part[0]!, 0);
  const stats = new Float32Array(ROWS * channels);
  for (let c = 0; c < channels; c++) {
    const mean = parts.reduce((sum, part) => sum + part[0]! * part[1 + c]!, 0) / count;
    const squares = parts.reduce(
      (sum, part) => sum + part[1 + channels + c]! + part[0]! * (part[1 + c]! - mean) ** 2,
      0,
    );
    const scale = 1 / Math.sqrt(squares / count + eps);
    const rounded = Math.fround(mean);
    const shift = (rounded - mean) * scale;
    const rows = [rounded, squares / count, scale, shift, scale, shift, squares / (count - 1)];
    for (const [row, value] of rows.entries()) stats[row * channels + c] = value;
  }
  return { count, stats };
}

/** `(x − mean) · scale + shift` */
function normalised(x: Tensor, stats: Tensor): Tensor {
  const [mean, scale, shift] = [MEAN, SCALE, SHIFT].map((i) => row(stats, i, keptChannels(x))) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  return add(mul(sub(x, mean), scale), shift);
}

/** Σ dy·n and Σ dy of each channel in this process, n the normalised x, where they are best computed. */
function ownSums(
  x: Tensor,
  stats: Tensor,
  dy: Tensor,
  places: readonly (Storage | undefined)[],
): readonly [byWeight: Tensor, byBias: Tensor] {
  const { device, shape } = x;
  const { backend } = device;
  const [batch, channels] = shape as [number, number];
  if (backend.batchStatsGrad && x.size > 0) {
    const sums = places.map((at) => emptyIn(at, device, [channels], "batchNorm.grad")) as [Tensor, Tensor];
    // Those of this part alone, which are of no use.
    const factors = empty(device, [2, channels], "f32", "batchNorm.factors");
    const sizes = { batch, channels, area: x.size / batch / channels };
    const read = { x: x.dense("batchNorm"), stats: stats.view(), dy: dy.dense("batchNorm") };
    const written = { byWeight: sums[0].view(), byBias: sums[1].view(), factors: factors.view() };
    backend.batchStatsGrad({ ...sizes, ...read, ...written });
    return sums;
  }
  const dim = axesBesideChannels(x);
  return [sum(mul(dy, normalised(x, stats)), { dim }), sum(dy, { dim })];
}

/** From sums of one process, (2, c), to those of all, divided by the number of values that all have of a channel. */
function shareWork(exchange: BatchExchange, count: number): HostWork {
  const own = (values: Float32Array): Float64Array => Float64Array.of(count, ...values);
  const shares = ([all, ...sums]: Float64Array): Float32Array => Float32Array.from(sums, (value) => value / all!);
  return {
    now: (values) => shares(exchange.allReduceSync(own(values))),
    later: async (values) => shares(await exchange.allReduce(own(values))),
  };
}

function axesBesideChannels({ shape }: Tensor): number[] {
  return shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
}
