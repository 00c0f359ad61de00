import { checkNumber, checkOptionalTensor, checkOptions, checkTensor, wrongArgument } from "../arguments.ts";
import { composed, detach, noGrad, recordTogether } from "../autograd.ts";
import type { View } from "../backend.ts";
import { DTypeError, describe, ShapeError } from "../errors.ts";
import { deviceOf, empty, emptyIn } from "../making.ts";
import { sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { type BatchExchange, withExchange } from "./batch-exchange.ts";
import {
  type BatchNormResult,
  byInput,
  keptChannels,
  move,
  type Own,
  type RunningStatistics,
  row,
  scaled,
} from "./batch-norm-parts.ts";
import { checkFloats, widened } from "./floats.ts";
import { add, cast, mul, rsqrt, square, sub } from "./pointwise.ts";
import { mean, sum } from "./reduce.ts";
import { clone, reshape } from "./view.ts";

export type { BatchExchange } from "./batch-exchange.ts";
export type { BatchNormResult, RunningStatistics } from "./batch-norm-parts.ts";

/** What `batchNorm` takes besides its input; all of one axis of x's channels. */
export interface BatchNormOptions {
  readonly weight?: Tensor;
  readonly bias?: Tensor;
  /** With `variance`: normalises with these instead of the batch's. */
  readonly mean?: Tensor;
  readonly variance?: Tensor;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
  /** Are written: they move towards the batch's mean and unbiased variance. */
  readonly running?: RunningStatistics;
  /** Of processes that have a part of the batch each: `x` is this one's, and the statistics are those of the whole. */
  readonly exchange?: BatchExchange;
}

const BATCH_NORM = [
  "weight",
  "bias",
  "mean",
  "variance",
  "eps",
  "running",
  "exchange",
] as const satisfies (keyof BatchNormOptions)[];
const RUNNING = ["mean", "variance", "count", "momentum"] as const satisfies (keyof RunningStatistics)[];

/**
 * Batch normalisation `(x − mean) / √(variance + eps) · weight + bias` of each channel (axis 1): with the given statistics, or
 * with the batch's own, through which the gradient then flows. `x (b, c, …)`.
 * The statistics of a batch are f32, of f16 too. With an `exchange` every process has to call this, and `backward`, in the same order; the gradients of weight and
 * bias are those of its part.
 * @throws ShapeError when an option is not of shape (c), only one statistic is given, or running ones are to be moved by given ones or by single values;
 * DTypeError unless all are f32 or all f16.
 * @see https://arxiv.org/abs/1502.03167
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): BatchNormResult {
  checkTensor("batchNorm", "x", x);
  checkOptions("batchNorm", options, BATCH_NORM);
  const { weight, bias, eps = 1e-5, running } = options;
  checkNumber("batchNorm", "eps", eps, 0);
  const channelwise = { weight, bias, mean: options.mean, variance: options.variance };
  for (const [name, t] of Object.entries(channelwise)) checkOptionalTensor("batchNorm", name, t);
  checkFloats("batchNorm", { x, ...channelwise });
  const channels = x.shape[1];
  if (channels === undefined) throw new ShapeError(`batchNorm: x ${describe(x)} has no axis of channels`);
  for (const [name, t] of Object.entries(channelwise)) if (t) checkChannels(name, t, x);
  if ((options.mean === undefined) !== (options.variance === undefined)) {
    throw new ShapeError("batchNorm: mean and variance go together; one of them is missing");
  }
  if (options.exchange !== undefined) checkExchange(options);
  if (running !== undefined) checkRunning(running, x, options);
  const wide = (t: Tensor): Tensor => reshape(t, keptChannels(x));
  if (x.dtype === "f16") return halfBatchNorm(x, options);
  if (options.mean && options.variance) {
    const { mean, variance } = options;
    const y = composed("batchNorm", () => {
      const scale = rsqrt(add(variance, eps));
      const scaled = mul(sub(x, wide(mean)), wide(weight ? mul(scale, weight) : scale));
      return bias ? add(scaled, wide(bias)) : scaled;
    });
    return { y, mean: detach(mean), variance: detach(variance) };
  }
  const { backend } = deviceOf("batchNorm", x, ...[weight, bias].filter((t) => t !== undefined));
  const own = { weight, bias, eps, running };
  return composed("batchNorm", () => {
    if (options.exchange) return withExchange(x, own, options.exchange);
    return backend.batchStats && x.size > 0 ? withStats(x, own) : withBatchStatistics(x, own);
  });
}

function checkChannels(name: string, t: Tensor, x: Tensor): void {
  const channels = x.shape[1]!;
  if (sameShape(t.shape, [channels])) return;
  throw new ShapeError(
    `batchNorm: ${name} ${describe(t)} is not of shape [${channels}], the channels of x ${describe(x)}`,
  );
}

function checkExchange({ exchange, mean }: BatchNormOptions): void {
  if (mean)
    throw new ShapeError(
      "batchNorm: exchange is for the batch's own statistics, or mean and variance are given, not both",
    );
  for (const name of ["allGather", "allGatherSync", "allReduce", "allReduceSync"] as const) {
    if (typeof exchange?.[name] !== "function")
      throw wrongArgument("batchNorm", "exchange", `an object with ${name}`, exchange);
  }
}

function checkRunning(running: RunningStatistics, x: Tensor, { mean, exchange }: BatchNormOptions): void {
  checkOptions("batchNorm: running", running, RUNNING);
  if (mean)
    throw new ShapeError("batchNorm: a batch moves running statistics, or mean and variance are given, not both");
  checkNumber("batchNorm", "running.momentum", running.momentum, 0, 1);
  for (const name of ["mean", "variance", "count"] as const) {
    checkTensor("batchNorm", `running.${name}`, running[name]);
    if (name !== "count") checkChannels(`running.${name}`, running[name], x);
    const wanted = name === "count" ? "i32" : "f32";
    if (running[name].dtype !== wanted) {
      throw new DTypeError(`batchNorm: running.${name} ${describe(running[name])} is not ${wanted}`);
    }
    running[name].checkWritable("batchNorm");
  }
  if (running.count.rank !== 0)
    throw new ShapeError(`batchNorm: running.count ${describe(running.count)} is not one number`);
  deviceOf("batchNorm", x, running.mean, running.variance, running.count);
  // What others have is not known before the exchange.
  if (!exchange && x.size < 2 * x.shape[1]!) {
    throw new ShapeError(
      `batchNorm: x ${describe(x)} has no two values of a channel, whose variance running statistics move to`,
    );
  }
}

/** In f32, the result rounded. */
function halfBatchNorm(x: Tensor, { eps, running, exchange, ...tensors }: BatchNormOptions): BatchNormResult {
  return composed("batchNorm", () => {
    const wide = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t && widened(t)]));
    const given = Object.fromEntries(
      Object.entries({ eps, running, exchange }).filter(([, value]) => value !== undefined),
    );
    const { y, mean, variance } = batchNorm(widened(x), { ...wide, ...given });
    return { y: cast(y, "f16"), mean: pick(tensors.mean, mean), variance: pick(tensors.variance, variance) };
  });
  function pick(given: Tensor | undefined, own: Tensor): Tensor {
    return given ? detach(given) : own;
  }
}

/** With the statistics that a kernel of the backend gives. */
function withStats(x: Tensor, { weight, bias, eps, running }: Own): BatchNormResult {
  const { device, shape } = x;
  const { backend } = device;
  const [batch, channels] = shape as [number, number];
  const sizes = { batch, channels, area: x.size / batch / channels };
  const kept = keptChannels(x);
  const { y, stats } = noGrad(() => {
    const stats = empty(device, [6, channels], "f32", "batchNorm.stats");
    // No launch reads and writes one buffer: what lies in one that is written is copied.
    const lots = new Set(running && [running.mean, running.variance, running.count].map((t) => t.view().storage.lot));
    const read = (t: Tensor): View => {
      const { lot } = t.view("batchNorm").storage;
      return (lot && lots.has(lot) ? clone(t) : t).dense("batchNorm");
    };
    const operands = {
      ...{ ...sizes, eps, x: read(x), stats: stats.view() },
      ...(weight && { weight: read(weight) }),
      ...(bias && { bias: read(bias) }),
    };
    if (running) {
      const count = running.count.overwrite("batchNorm");
      try {
        const [mean, variance] = [running.mean.writable("batchNorm"), running.variance.writable("batchNorm")];
        backend.batchStats!({ ...operands, running: { mean, variance, count, momentum: running.momentum } });
      } catch (error) {
        count.abandon();
        throw error;
      }
      count.commit();
    } else backend.batchStats!(operands);
    return { y: scaled(x, row(stats, 0, kept), row(stats, 4, kept), row(stats, 5, kept)), stats };
  });
  const inputs = [x, ...(weight ? [weight] : []), ...(bias ? [bias] : [])];
  const wants = x.requiresGrad;
  if (inputs.some((input) => input.requiresGrad)) {
    recordTogether([y], "batchNorm", inputs, [x, stats], ([dy], give, [x, stats], place) => {
      const places = [weight ? place(1) : undefined, bias ? place(inputs.length - 1) : undefined];
      const [byWeight, byBias] = places.map((at) => emptyIn(at, device, [channels], "batchNorm.grad"));
      const factors = empty(device, [2, channels], "f32", "batchNorm.factors");
      const read = { x: x!.dense("batchNorm"), stats: stats!.view(), dy: dy!.dense("batchNorm") };
      const written = { byWeight: byWeight!.view(), byBias: byBias!.view(), factors: factors.view() };
      backend.batchStatsGrad!({ ...sizes, ...read, ...written });
      const ofStats = (i: number): Tensor => row(stats!, i, kept);
      if (wants) give(0, byInput(dy!, ofStats(4), x!, ofStats(0), row(factors, 0, kept), row(factors, 1, kept)));
      if (weight) give(1, byWeight!);
      if (bias) give(inputs.length - 1, byBias!);
    });
  }
  return { y, mean: row(stats, 0, [channels]), variance: row(stats, 1, [channels]) };
}

function withBatchStatistics(x: Tensor, { weight, bias, eps, running }: Own): BatchNormResult {
  const wide = (t: Tensor): Tensor => reshape(t, keptChannels(x));
  const dim = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  const count = x.size / x.shape[1]!;
  const centred = (x: Tensor, average: Tensor, rest: Tensor): Tensor => sub(sub(x, wide(average)), wide(rest));
  const { y, average, rest, spread, scale, slope } = noGrad(() => {
    const average = mean(x, { dim });
    // What the average was rounded by: it is large beside the distances where the average is.
    const rest = mean(sub(x, wide(average)), { dim });
    const spread = mean(square(centred(x, average, rest)), { dim });
    const scale = rsqrt(add(spread, eps));
    const slope = weight ? mul(scale, weight) : scale;
    const scaled = mul(centred(x, average, rest), wide(slope));
    return { y: bias ? add(scaled, wide(bias)) : scaled, average, rest, spread, scale, slope };
  });
  const inputs = [x, ...(weight ? [weight] : []), ...(bias ? [bias] : [])];
  const wants = x.requiresGrad;
  if (inputs.some((input) => input.requiresGrad)) {
    recordTogether([y], "batchNorm", inputs, [x, average, rest, scale, slope], ([dy], give, saved) => {
      const [x, average, rest, scale, slope] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
      // Σ dy and Σ dy·n of each channel, n the normalised input: all three gradients are made of them.
      const total = sum(dy!, { dim });
      const products = mul(sum(mul(dy!, centred(x, average, rest)), { dim }), scale);
      if (wants) {
        // slope · (dy − mean(dy) − n · mean(dy n))
        const byInput = mul(mul(mul(products, scale), slope), -1 / count);
        const constant = mul(mul(total, slope), -1 / count);
        give(0, add(add(mul(dy!, wide(slope)), mul(centred(x, average, rest), wide(byInput))), wide(constant)));
      }
      if (weight) give(1, products);
      if (bias) give(inputs.length - 1, total);
    });
  }
  if (running) noGrad(() => move(running, average, mul(spread, count / (count - 1))));
  return { y, mean: average, variance: spread };
}
