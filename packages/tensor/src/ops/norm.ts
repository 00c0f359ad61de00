import { checkNumber, checkOptionalTensor, checkOptions, checkTensor, checkWholes } from "../arguments.ts";
import { composed, type GradPair, record, recordTogether } from "../autograd.ts";
import { describe, ShapeError } from "../errors.ts";
import { deviceOf, empty, emptyIn, filled, launched } from "../making.ts";
import { normalizeDims, numel, type Shape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { clamp } from "./activation.ts";
import { checkFloats, throughF32, widened } from "./floats.ts";
import { add, div, mul, sub } from "./pointwise.ts";
import { l2Norm, sum } from "./reduce.ts";
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
  const byInput = (dy: Tensor, [x, stats, weight]: readonly Tensor[]): Tensor => {
    const operands = {
      x: widened(x!).dense("layerNorm"),
      stats: stats!.view(),
      dy: dy.dense("layerNorm"),
      ...(weight ? { weight: widened(weight).dense("layerNorm") } : {}),
    };
    return launched(device, {
      ...{ shape, dtype: "f32", label: "layerNorm.grad", reads: Object.values(operands), leaves: 4 },
      record: (dx, epilogue) => backend.layerNormGrad({ rows, cols, ...operands, dx, ...(epilogue && { epilogue }) }),
    });
  };
  const { layerNormSums } = backend;
  if (layerNormSums && x.size > 0 && affine.some((t) => t.requiresGrad)) {
    recordTogether([y], "layerNorm", [x, ...affine], needs, ([dy], give, saved, place) => {
      give(0, () => byInput(dy!, saved));
      const places = [weight ? place(1) : undefined, bias ? place(affine.length) : undefined];
      const [byWeight, byBias] = places.map((at) => emptyIn(at, device, tail, "layerNorm.grad")) as [Tensor, Tensor];
      const read = { x: widened(saved[0]!).dense("layerNorm"), stats: saved[1]!.view(), dy: dy!.dense("layerNorm") };
      layerNormSums({ rows, cols, ...read, byWeight: byWeight.view(), byBias: byBias.view() });
      if (weight) give(1, byWeight);
      if (bias) give(affine.length, byBias);
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
