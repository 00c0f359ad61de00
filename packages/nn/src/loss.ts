import {
  abs,
  add,
  logSigmoid,
  logSoftmax,
  lt,
  mean,
  mul,
  neg,
  pick,
  ShapeError,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  where,
} from "@deplsr/tensor";

/** How the losses of single elements become the result: their mean (default), their sum, or each one. */
export type Reduction = "mean" | "sum" | "none";

export interface LossOptions {
  readonly reduction?: Reduction;
}

function reduce(losses: Tensor, reduction: Reduction = "mean"): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : mean(losses);
}

function difference(op: string, input: Tensor, target: Tensor): Tensor {
  if (`${input.shape}` !== `${target.shape}`) {
    throw new ShapeError(
      `${op}: input [${input.shape.join(", ")}] and target [${target.shape.join(", ")}] must have one shape`,
    );
  }
  return sub(input, target);
}

/** `|input − target|`, same shapes → scalar. */
export function l1Loss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return reduce(abs(difference("l1Loss", input, target)), options.reduction);
}

/** `(input − target)²`, same shapes → scalar. */
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return reduce(square(difference("mseLoss", input, target)), options.reduction);
}

/** Huber's loss over `beta` (default 1): `d²/(2·beta)` where |d| < beta, else `|d| − beta/2`. @see https://arxiv.org/abs/1504.08083 */
export function smoothL1Loss(
  input: Tensor,
  target: Tensor,
  { beta = 1, reduction }: LossOptions & { readonly beta?: number } = {},
): Tensor {
  if (!(beta >= 0)) throw new RangeError(`smoothL1Loss: beta ${beta} must be at least 0`);
  const d = difference("smoothL1Loss", input, target);
  const size = abs(d);
  if (beta === 0) return reduce(size, reduction);
  return reduce(where(lt(size, beta), mul(square(d), 0.5 / beta), sub(size, 0.5 * beta)), reduction);
}

/** `√(d² + eps)`, a smooth L1; eps 1e-12 as in BasicSR. @see https://arxiv.org/abs/1710.01992 */
export function charbonnierLoss(
  input: Tensor,
  target: Tensor,
  { eps = 1e-12, reduction }: LossOptions & { readonly eps?: number } = {},
): Tensor {
  return reduce(sqrt(add(square(difference("charbonnierLoss", input, target)), eps)), reduction);
}

/** Binary cross-entropy of logits against targets in [0, 1]: `(1 − y)·x − log σ(x)`, which does not overflow. */
export function bceWithLogits(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  difference("bceWithLogits", input, target);
  return reduce(sub(mul(sub(1, target), input), logSigmoid(input)), options.reduction);
}

/**
 * Cross-entropy of `logits (n, c)` against class numbers `target (n) i32`, or against probabilities `target (n, c)`.
 * With label smoothing s a target becomes (1 − s)·target + s/c.
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  { reduction = "mean", labelSmoothing = 0 }: LossOptions & { readonly labelSmoothing?: number } = {},
): Tensor {
  const [n, c] = logits.shape;
  if (logits.rank !== 2 || target.shape[0] !== n || (target.rank === 2 ? target.shape[1] !== c : target.rank !== 1)) {
    throw new ShapeError(
      `crossEntropy: logits [${logits.shape.join(", ")}] must be (n, c) with target (n) or (n, c), got target [${target.shape.join(", ")}]`,
    );
  }
  const logProbability = logSoftmax(logits, 1);
  const hit: Tensor = target.rank === 1 ? pick(logProbability, target) : sum(mul(logProbability, target), { dim: 1 });
  const smooth = (): Tensor => mul(mean(logProbability, { dim: 1 }), labelSmoothing);
  const score = labelSmoothing === 0 ? hit : add(mul(hit, 1 - labelSmoothing), smooth());
  return reduce(neg(score), reduction);
}
