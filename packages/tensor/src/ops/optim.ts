import { noGrad } from "../autograd.ts";
import type { AdamNumbers } from "../backend.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError, describe, ShapeError } from "../errors.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import { sameShape } from "../shape.ts";
import { deviceOf, type Tensor } from "../tensor.ts";
import { widened } from "./floats.ts";

/** One parameter's update. */
export interface AdamStep {
  readonly param: Tensor;
  readonly grad: Tensor;
  /** First moment, 0 before the first step. */
  readonly expAvg: Tensor;
  /** Second moment, 0 before the first step. */
  readonly expAvgSq: Tensor;
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** AdamW: the parameter shrinks by `lr · weightDecay`; else the decay joins the gradient. */
  readonly decoupled: boolean;
  /** Counts from 1. */
  readonly step: number;
}

/** What a parameter of f16 becomes after a step, which is one of f32. */
const ROUNDED: Expr = E.cast(E.leaf(0, "f32"), "f16");

/**
 * One step of Adam (or AdamW) on one parameter, in place on `param`, `expAvg` and `expAvgSq`, all of one shape:
 * `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`, `p ← p − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)`.
 * The moments are f32, the parameter and the gradient f32 or f16. A parameter of f16 is rounded once, at the end: it loses steps that are
 * smaller than its rounding, so who trains in f16 keeps parameters in f32 and casts them.
 * @throws ShapeError when they differ; DTypeError for other types; RangeError when `step` is not a whole number from 1 on.
 * @see https://arxiv.org/abs/1412.6980 algorithm 1, https://arxiv.org/abs/1711.05101 algorithm 2
 */
export function adamStep(update: AdamStep): void {
  const { param, grad, expAvg, expAvgSq, step } = update;
  check("grad", grad, param);
  check("expAvg", expAvg, param);
  check("expAvgSq", expAvgSq, param);
  if (!Number.isInteger(step) || step < 1) {
    throw new RangeError(`adamStep: step ${step} is not a whole number from 1 on`);
  }
  const { backend } = deviceOf("adamStep", param, grad, expAvg, expAvgSq);
  param.checkWritable("adamStep");
  if (param === expAvg || param === expAvgSq || expAvg === expAvgSq) {
    throw new Error(`adamStep: the parameter and its two moments are three tensors, got ${describe(param)} twice`);
  }
  // The gradient first: it may still have to be computed, from the parameter among others. Held, so that nothing is written over it.
  const wide = noGrad(() => ({ grad: widened(grad), param: widened(param) }));
  const gradient = wide.grad.dense("adamStep");
  gradient.storage.retain();
  const targets = wide.param === param ? [param, expAvg, expAvgSq] : [wide.param, expAvg, expAvgSq, param];
  const writes: ReturnType<Tensor["overwrite"]>[] = [];
  try {
    for (const target of targets) writes.push(target.overwrite("adamStep"));
    const [p, m, v, half] = writes.map(({ before, after }) => ({ before, after }));
    backend.adam({ grad: gradient, param: p!, expAvg: m!, expAvgSq: v!, numbers: adamNumbers(update) });
    if (half) backend.pointwise({ out: half.after, tree: ROUNDED, leaves: [p!.after], params: [] });
    for (const write of writes.splice(0)) write.commit();
  } finally {
    for (const write of writes) write.abandon();
    gradient.storage.release();
    if (wide.param !== param) wide.param.dispose();
    if (wide.grad !== grad) wide.grad.dispose();
  }
}

function check(name: string, t: Tensor, param: Tensor): void {
  if (!sameShape(t.shape, param.shape)) {
    throw new ShapeError(`adamStep: ${name} ${describe(t)} does not fit the parameter ${describe(param)}`);
  }
  if (t.dtype !== "f32" && !(name === "grad" && t.dtype === "f16")) {
    throw new DTypeError(`adamStep: takes f32, got ${name} ${describe(t)} and the parameter ${describe(param)}`);
  }
  if (!isFloat(param.dtype)) throw new DTypeError(`adamStep: takes floats, got the parameter ${describe(param)}`);
}

/** What depends on the step is folded into the step's size here, in f64. */
function adamNumbers({ lr, beta1, beta2, eps, weightDecay, decoupled, step }: AdamStep): AdamNumbers {
  return {
    beta1,
    beta2,
    rest1: 1 - beta1,
    rest2: 1 - beta2,
    eps,
    decay: decoupled ? 0 : weightDecay,
    shrink: decoupled ? lr * weightDecay : 0,
    stepSize: lr / (1 - beta1 ** step),
    rootCorrection: Math.sqrt(1 - beta2 ** step),
  };
}
