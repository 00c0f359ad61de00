import { checkNumber, checkOptionalTensor, checkOptions, checkTensor, checkWholes } from "../arguments.ts";
import { composed, detach, type GradPair, noGrad, record, recordTogether } from "../autograd.ts";
import { describe, ShapeError } from "../errors.ts";
import { normalizeDims, numel, type Shape, sameShape } from "../shape.ts";
import { deviceOf, empty, filled, type Tensor } from "../tensor.ts";
import { clamp } from "./activation.ts";
import { checkFloats, throughF32, widened } from "./floats.ts";
import { add, cast, div, mul, rsqrt, square, sub } from "./pointwise.ts";
import { l2Norm, mean, sum } from "./reduce.ts";
import { narrow, reshape } from "./view.ts";

/** What `layerNorm` takes besides its input. */
export interface LayerNormOptions {
  /** Scales the normalised values; of shape `normalizedShape`. */
  readonly weight?: Tensor;
  /** Is added after that; of shape `normalizedShape`. */
  readonly bias?: Tensor;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
  /** The last sizes of x, which are normalised together; default the last one. */
  readonly normalizedShape?: Shape;
}

const LAYER_NORM = ["weight", "bias", "eps", "normalizedShape"] as const satisfies (keyof LayerNormOptions)[];

/**
 * Layer normalisation `(x − mean) / √(variance + eps) · weight + bias` over the last axes, biased variance. Shape and dtype kept.
 * @throws ShapeError when x does not end in `normalizedShape`, or weight or bias are not of it; DTypeError unless all are f32 or all f16.
 * @see https://arxiv.org/abs/1607.06450
 */
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor {
  checkTensor("layerNorm", "x", x);
  checkOptions("layerNorm", options, LAYER_NORM);
  const { weight, bias, eps = 1e-5, normalizedShape } = options;
  checkOptionalTensor("layerNorm", "weight", weight);
  checkOptionalTensor("layerNorm", "bias", bias);
  checkNumber("layerNorm", "eps", eps, 0);
  if (normalizedShape !== undefined) checkWholes("layerNorm", "normalizedShape", normalizedShape, 0);
  const tail = normalizedShape ?? x.shape.slice(-1);
  const cols = numel(tail);
  if (x.rank === 0 || !sameShape(x.shape.slice(x.rank - tail.length), tail)) {
    throw new ShapeError(`layerNorm: x ${describe(x)} does not end in [${tail.join(", ")}]`);
  }
  const affine = [weight, bias].filter((t) => t !== undefined);
  checkFloats("layerNorm", { x, weight, bias });
  for (const t of affine) {
    if (!sameShape(t.shape, tail)) {
      throw new ShapeError(
        `layerNorm: weight or bias ${describe(t)} does not fit x ${describe(x)} over [${tail.join(", ")}]`,
      );
    }
  }
  const { backend } = deviceOf("layerNorm", x, ...affine);
  const rows = cols === 0 ? 0 : x.size / cols;
  const { device, shape, dtype } = x;
  const stats = empty(device, [rows, 3], "f32", "layerNorm.stats");
  const operands = {
    x: x.dense("layerNorm"),
    stats: stats.view(),
    ...(weight ? { weight: weight.dense("layerNorm") } : {}),
    ...(bias ? { bias: bias.dense("layerNorm") } : {}),
  };
  const y = filled(device, shape, dtype, "layerNorm", (y) => backend.layerNorm({ rows, cols, eps, ...operands, y }));
  const flat = (t: Tensor): Tensor => reshape(t, [rows, cols]);
  const needs = [x, stats, ...(weight ? [weight] : [])];
  /** The gradient of x; `sums` as in `NormGradCall`. */
  const byInput = (dy: Tensor, [x, stats, weight]: readonly Tensor[], sums?: Tensor): Tensor => {
    const operands = {
      x: widened(x!).dense("layerNorm"),
      stats: stats!.view(),
      dy: dy.dense("layerNorm"),
      ...(weight ? { weight: widened(weight).dense("layerNorm") } : {}),
      ...(sums ? { sums: sums.view() } : {}),
    };
    return filled(device, shape, "f32", "layerNorm.grad", (dx) =>
      backend.layerNormGrad({ rows, cols, ...operands, dx }),
    );
  };
  const { layerNormGroup } = backend;
  if (layerNormGroup !== undefined && x.requiresGrad && affine.some((t) => t.requiresGrad)) {
    recordTogether([y], "layerNorm", [x, ...affine], needs, ([dy], give, saved) => {
      const sums = empty(device, [Math.ceil(rows / layerNormGroup), 2, cols], "f32", "layerNorm.sums");
      give(0, byInput(dy!, saved, sums));
      const total = sum(sums, { dim: 0 });
      const row = (i: number): Tensor => reshape(narrow(total, 0, i, 1), tail);
      if (weight) give(1, row(0));
      if (bias) give(affine.length, row(1));
    });
    return y;
  }
  const pairs: GradPair[] = [[x, needs, (dy, ...saved) => byInput(dy, saved)]];
  if (weight) {
    pairs.push([
      weight,
      [x, stats],
      (dy, x, stats) => {
        const [mean, scale, shift] = [0, 1, 2].map((i) => narrow(stats, 1, i, 1)) as [Tensor, Tensor, Tensor];
        const normal = add(mul(sub(flat(x), mean), scale), shift);
        return reshape(sum(mul(flat(dy), normal), { dim: 0 }), tail);
      },
    ]);
  }
  if (bias) pairs.push([bias, (dy) => reshape(sum(flat(dy), { dim: 0 }), tail)]);
  return record(y, "layerNorm", ...pairs);
}

/** What `batchNorm` takes besides its input; all of one axis of x's channels. */
export interface BatchNormOptions {
  readonly weight?: Tensor;
  readonly bias?: Tensor;
  /** With `variance`: normalises with these instead of the batch's. */
  readonly mean?: Tensor;
  readonly variance?: Tensor;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number;
}

const BATCH_NORM = ["weight", "bias", "mean", "variance", "eps"] as const satisfies (keyof BatchNormOptions)[];

/** The normalised batch and the statistics that it was normalised with, which carry no gradient. */
export interface BatchNormResult {
  readonly y: Tensor;
  /** (c) */
  readonly mean: Tensor;
  /** (c), divided by the number of values (biased) where it is the batch's. */
  readonly variance: Tensor;
}

/**
 * Batch normalisation `(x − mean) / √(variance + eps) · weight + bias` of each channel (axis 1): with the given statistics, or
 * with the batch's own, through which the gradient then flows. `x (b, c, …)`.
 * The statistics of a batch are f32, of f16 too.
 * @throws ShapeError when an option is not of shape (c) or only one statistic is given; DTypeError unless all are f32 or all f16.
 * @see https://arxiv.org/abs/1502.03167
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): BatchNormResult {
  checkTensor("batchNorm", "x", x);
  checkOptions("batchNorm", options, BATCH_NORM);
  const { weight, bias, eps = 1e-5 } = options;
  checkNumber("batchNorm", "eps", eps, 0);
  const channelwise = { weight, bias, mean: options.mean, variance: options.variance };
  for (const [name, t] of Object.entries(channelwise)) checkOptionalTensor("batchNorm", name, t);
  checkFloats("batchNorm", { x, ...channelwise });
  const channels = x.shape[1];
  if (channels === undefined) throw new ShapeError(`batchNorm: x ${describe(x)} has no axis of channels`);
  for (const [name, t] of Object.entries(channelwise)) {
    if (t && !sameShape(t.shape, [channels])) {
      throw new ShapeError(
        `batchNorm: ${name} ${describe(t)} is not of shape [${channels}], the channels of x ${describe(x)}`,
      );
    }
  }
  if ((options.mean === undefined) !== (options.variance === undefined)) {
    throw new ShapeError("batchNorm: mean and variance go together; one of them is missing");
  }
  const kept = x.shape.map((size, axis) => (axis === 1 ? size : 1));
  const wide = (t: Tensor): Tensor => reshape(t, kept);
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
  return composed("batchNorm", () => withBatchStatistics(x, { weight, bias, eps }, wide));
}

/** In f32, the result rounded. */
function halfBatchNorm(x: Tensor, { eps, ...tensors }: BatchNormOptions): BatchNormResult {
  return composed("batchNorm", () => {
    const wide = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t && widened(t)]));
    const { y, mean, variance } = batchNorm(widened(x), { ...wide, ...(eps === undefined ? {} : { eps }) });
    return { y: cast(y, "f16"), mean: pick(tensors.mean, mean), variance: pick(tensors.variance, variance) };
  });
  function pick(given: Tensor | undefined, own: Tensor): Tensor {
    return given ? detach(given) : own;
  }
}

function withBatchStatistics(
  x: Tensor,
  { weight, bias, eps }: { weight: Tensor | undefined; bias: Tensor | undefined; eps: number },
  wide: (t: Tensor) => Tensor,
): BatchNormResult {
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
  return { y, mean: average, variance: spread };
}

/**
 * `x / max(‖x‖, eps)` along one axis or several (`dim`, default the last; it may stand in the place of the options), Euclidean length; `eps` defaults to 1e-12. Shape kept;
 * the gradient at the zero vector is `dy / eps`.
 */
export function l2Normalize(
  x: Tensor,
  options: { readonly dim?: number | readonly number[]; readonly eps?: number } | number | readonly number[] = {},
): Tensor {
  checkTensor("l2Normalize", "x", x);
  const given = typeof options === "number" || Array.isArray(options) ? { dim: options } : options;
  checkOptions("l2Normalize", given, ["dim", "eps"]);
  const { dim = -1, eps = 1e-12 } = given as { dim?: number | readonly number[]; eps?: number };
  checkNumber("l2Normalize", "eps", eps, 0);
  checkFloats("l2Normalize", { x });
  normalizeDims("l2Normalize", dim, x.rank);
  if (x.dtype === "f16") return throughF32("l2Normalize", [x], (x) => l2Normalize(x, { dim, eps }));
  return composed("l2Normalize", () => div(x, clamp(l2Norm(x, { dim, keepDim: true }), { min: eps })));
}
