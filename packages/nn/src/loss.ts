import {
  abs,
  add,
  cast,
  checkChoice,
  checkNumber,
  checkOptions,
  checkTensor,
  checkWhole,
  DTypeError,
  describe,
  div,
  eq,
  logicalNot,
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
  within,
} from "@deplsr/tensor";

/** How the losses of single elements become the result: their mean (default), their sum, or each one. */
export type Reduction = "mean" | "sum" | "none";

export interface LossOptions {
  readonly reduction?: Reduction;
}

const REDUCTIONS: readonly string[] = ["mean", "sum", "none"] satisfies Reduction[];

function checkLoss(
  op: string,
  input: Tensor,
  target: Tensor,
  options: LossOptions,
  more: readonly string[] = [],
): void {
  checkTensor(op, "input", input);
  checkTensor(op, "target", target);
  checkOptions(op, options, ["reduction", ...more]);
  if (options.reduction !== undefined) checkChoice(op, "reduction", options.reduction, REDUCTIONS);
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
  checkLoss("l1Loss", input, target, options);
  return reduce(abs(difference("l1Loss", input, target)), options.reduction);
}

/** `(input − target)²`, same shapes → scalar. */
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkLoss("mseLoss", input, target, options);
  return reduce(square(difference("mseLoss", input, target)), options.reduction);
}

/** Huber's loss over `beta` (default 1): `d²/(2·beta)` where |d| < beta, else `|d| − beta/2`. @see https://arxiv.org/abs/1504.08083 */
export function smoothL1Loss(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { readonly beta?: number } = {},
): Tensor {
  checkLoss("smoothL1Loss", input, target, options, ["beta"]);
  const { beta = 1, reduction } = options;
  checkNumber("smoothL1Loss", "beta", beta, 0);
  const d = difference("smoothL1Loss", input, target);
  const size = abs(d);
  if (beta === 0) return reduce(size, reduction);
  return reduce(where(lt(size, beta), mul(square(d), 0.5 / beta), sub(size, 0.5 * beta)), reduction);
}

/** `√(d² + eps)`, a smooth L1; eps 1e-12 as in BasicSR. @see https://arxiv.org/abs/1710.01992 */
export function charbonnierLoss(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { readonly eps?: number } = {},
): Tensor {
  checkLoss("charbonnierLoss", input, target, options, ["eps"]);
  const { eps = 1e-12, reduction } = options;
  checkNumber("charbonnierLoss", "eps", eps, 0);
  return reduce(sqrt(add(square(difference("charbonnierLoss", input, target)), eps)), reduction);
}

/** Binary cross-entropy of logits against targets in [0, 1]: `(1 − y)·x − log σ(x)`, which does not overflow. */
export function bceWithLogits(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkLoss("bceWithLogits", input, target, options);
  difference("bceWithLogits", input, target);
  return reduce(sub(mul(sub(1, target), input), logSigmoid(input)), options.reduction);
}

/** Defaults: the mean, no smoothing, targets of -100 ignored. */
export interface CrossEntropyOptions extends LossOptions {
  readonly labelSmoothing?: number;
  /** A class number that counts nothing: its loss is 0, and the mean is over the others. */
  readonly ignoreIndex?: number;
}

/**
 * Cross-entropy of `logits (n, c)` against class numbers `target (n) i32`, or against probabilities `target (n, c)`.
 * With label smoothing s a target becomes (1 − s)·target + s/c. The mean of nothing but ignored targets is NaN, as in PyTorch.
 * @throws ShapeError when a target is no class (the next read throws it where only the device knows)
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkTensor("crossEntropy", "logits", logits);
  checkLoss("crossEntropy", logits, target, options, ["labelSmoothing", "ignoreIndex"]);
  const { reduction = "mean", labelSmoothing = 0, ignoreIndex = -100 } = options;
  checkNumber("crossEntropy", "labelSmoothing", labelSmoothing, 0, 1);
  checkWhole("crossEntropy", "ignoreIndex", ignoreIndex);
  const [n, c] = logits.shape;
  if (logits.rank !== 2 || target.shape[0] !== n || (target.rank === 2 ? target.shape[1] !== c : target.rank !== 1)) {
    throw new ShapeError(
      `crossEntropy: logits [${logits.shape.join(", ")}] must be (n, c) with target (n) or (n, c), got target [${target.shape.join(", ")}]`,
    );
  }
  const mayIgnore = target.rank === 1 && checkClasses(logits, target, ignoreIndex);
  const logProbability = logSoftmax(logits, 1);
  const lossOf = (hit: Tensor): Tensor => {
    if (labelSmoothing === 0) return neg(hit);
    return neg(add(mul(hit, 1 - labelSmoothing), mul(mean(logProbability, { dim: 1 }), labelSmoothing)));
  };
  const picked = (classes: Tensor): Tensor => within("crossEntropy", () => pick(logProbability, classes));
  if (target.rank === 2) return reduce(lossOf(sum(mul(logProbability, target), { dim: 1 })), reduction);
  if (!mayIgnore) return reduce(lossOf(picked(target)), reduction);
  const ignored = eq(target, ignoreIndex);
  const losses = where(ignored, 0, lossOf(picked(where(ignored, 0, target))));
  return reduction === "mean" ? div(sum(losses), sum(cast(logicalNot(ignored), "f32"))) : reduce(losses, reduction);
}

/** Whether some targets may have to be ignored. @throws ShapeError for one that is no class, where the host knows it */
function checkClasses(logits: Tensor, target: Tensor, ignoreIndex: number): boolean {
  if (target.dtype !== "i32" && target.dtype !== "u32") {
    throw new DTypeError(
      `crossEntropy: target ${describe(target)} holds class numbers: they must be i32 or u32; cast it`,
    );
  }
  const classes = logits.shape[1]!;
  if (!target.host) return target.dtype === "i32" || ignoreIndex >= 0;
  for (const label of target.host) {
    if (label !== ignoreIndex && (label < 0 || label >= classes)) {
      throw new ShapeError(
        `crossEntropy: target ${describe(target)} holds ${label}, logits ${describe(logits)} have classes 0 to ${classes - 1}`,
      );
    }
  }
  return target.host.includes(ignoreIndex);
}
