import { checkNumber, checkOptionalTensor, checkOptions, checkTensor } from "../arguments.ts";
import { composed, detach, noGrad, recordTogether } from "../autograd.ts";
import { describe, ShapeError } from "../errors.ts";
import { sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, widened } from "./floats.ts";
import { add, cast, mul, rsqrt, square, sub } from "./pointwise.ts";
import { mean, sum } from "./reduce.ts";
import { reshape } from "./view.ts";

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
