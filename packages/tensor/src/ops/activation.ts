import { checkNumber, checkOptions, checkTensor } from "../arguments.ts";
import { ArgumentError } from "../errors.ts";
import * as E from "../expr/expr.ts";
import type { Tensor } from "../tensor.ts";
import { type PointwiseOptions, pointwise, sameEverywhere } from "./formula.ts";

type UnaryOp = (x: Tensor) => Tensor;

/** As PyTorch, which has `sigmoid` and `tanh` of whole numbers, but none of the activations made of them. */
const ONLY_FLOATS: PointwiseOptions = { refuses: ["i32", "u32", "bool"] };

/** Rectified linear unit `max(x, 0)`, of whole numbers too; the gradient at 0 is 0, NaN stays NaN. */
export const relu: UnaryOp = pointwise("relu", (x) => E.select(E.le(x!, 0), 0, x!), {
  refuses: ["bool"],
  derivativeFromResult: (y) => E.select(E.le(y, 0), 0, 1),
});

/** `x` above 0, `negativeSlope · x` below. */
export const leakyRelu: (x: Tensor, negativeSlope: number) => Tensor = pointwise(
  "leakyRelu",
  (x, slope) => E.select(E.le(x!, 0), E.mul(x!, slope!), x!),
  { ...ONLY_FLOATS, names: ["x", "negativeSlope"] },
);

/** Gaussian error linear unit, exact form: `y = x · Φ(x)`. @see https://arxiv.org/abs/1606.08415 */
export const gelu: UnaryOp = pointwise(
  "gelu",
  (x) => E.mul(E.mul(0.5, x!), E.add(1, E.erf(E.mul(x!, Math.SQRT1_2)))),
  ONLY_FLOATS,
);

/** `x · σ(1.702 x)`, the approximation of GELU that OpenAI's CLIP weights were trained with. */
export const quickGelu: UnaryOp = pointwise("quickGelu", (x) => E.mul(x!, E.sigmoid(E.mul(1.702, x!))), ONLY_FLOATS);

/** `x · σ(x)`. */
export const silu: UnaryOp = pointwise("silu", (x) => E.mul(x!, E.sigmoid(x!)), ONLY_FLOATS);

/** `1 / (1 + exp(−x))`. */
export const sigmoid: UnaryOp = pointwise("sigmoid", (x) => E.sigmoid(x!), { computes: "float" });

/** `log σ(x)`, computed as `min(x, 0) − log(1 + exp(−|x|))`, which neither overflows nor cancels. */
export const logSigmoid: UnaryOp = pointwise(
  "logSigmoid",
  (x) => E.sub(E.select(E.lt(x!, 0), x!, E.constant(0)), softplusOfNegative(x!)),
  { ...ONLY_FLOATS, derivatives: (x) => [E.sigmoid(E.neg(x!))] },
);

/** `log(1 + exp(x))`. */
export const softplus: UnaryOp = pointwise(
  "softplus",
  (x) => E.add(E.select(E.gt(x!, 0), x!, E.constant(0)), softplusOfNegative(x!)),
  { ...ONLY_FLOATS, derivatives: (x) => [E.sigmoid(x!)] },
);

export const tanh: UnaryOp = pointwise("tanh", (x) => E.tanh(x!), { computes: "float" });

/** log(1 + t) of t = exp(−|x|) as 2 artanh(w / 2), w = t / (1 + t/2), which keeps the digits of a small t: a minimax polynomial of w². */
function softplusOfNegative(x: E.Expr): E.Expr {
  const t = E.exp(E.neg(E.abs(x)));
  const w = E.div(t, E.add(1, E.mul(0.5, t)));
  const z = E.mul(w, w);
  const p = [1.13400049e-4, 4.23956547e-4, 2.2337779e-3, 1.2499908e-2, 8.33333358e-2].reduce<E.Term>(
    (sum, c) => E.add(E.mul(z, sum), c),
    0,
  );
  return E.add(w, E.mul(E.mul(w, z), p));
}

const NUMBERS: PointwiseOptions = { computes: "number" };
const clampBoth: (x: Tensor, min: number, max: number) => Tensor = pointwise(
  "clamp",
  (x, min, max) => {
    const raised = E.select(E.lt(x!, min!), min!, x!);
    return E.select(E.gt(raised, max!), max!, raised);
  },
  NUMBERS,
);
const clampMin: (x: Tensor, min: number) => Tensor = pointwise(
  "clamp",
  (x, min) => E.select(E.lt(x!, min!), min!, x!),
  NUMBERS,
);
const clampMax: (x: Tensor, max: number) => Tensor = pointwise(
  "clamp",
  (x, max) => E.select(E.gt(x!, max!), max!, x!),
  NUMBERS,
);

/**
 * Limits to `[min, max]`; with `min` above `max` that is `max` everywhere. The gradient passes at the exact bounds. NaN stays NaN, and a bound
 * that is NaN makes everything NaN. Whole numbers keep their type where the bounds are whole numbers of it.
 */
export function clamp(x: Tensor, options: { readonly min?: number; readonly max?: number }): Tensor {
  checkTensor("clamp", "x", x);
  checkOptions("clamp", options, ["min", "max"]);
  const { min, max } = options;
  if (min === undefined && max === undefined) throw new ArgumentError("clamp: options min and max are both missing");
  if (min !== undefined && !Number.isNaN(min)) checkNumber("clamp", "min", min);
  if (max !== undefined && !Number.isNaN(max)) checkNumber("clamp", "max", max);
  if (Number.isNaN(min) || Number.isNaN(max)) return sameEverywhere("clamp", x, Number.NaN);
  if (min !== undefined && max !== undefined) return clampBoth(x, min, max);
  if (min !== undefined) return clampMin(x, min);
  return max !== undefined ? clampMax(x, max) : x;
}
