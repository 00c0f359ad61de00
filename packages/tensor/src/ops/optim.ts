import { checkFlag, checkNumber, checkOptions, checkTensor, checkTensors, wrongArgument } from "../arguments.ts";
import { noGrad } from "../autograd.ts";
import type { AdamCall, AdamNumbers, Backend, Lot, Storage, Update, View } from "../backend.ts";
import { capturing } from "../capturing.ts";
import { bytesPerElement, isFloat } from "../dtype.ts";
import { DTypeError, describe, ShapeError } from "../errors.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import { cutIntoLots, follows, joined, lotOf, runsOf } from "../lots.ts";
import { deviceOf, made } from "../making.ts";
import { sameShape } from "../shape.ts";
import { storedIn, type Tensor } from "../tensor.ts";
import { computeTogether } from "../together.ts";
import { widened } from "./floats.ts";
import { clone } from "./view.ts";

/** One parameter's update. */
export interface AdamStep {
  readonly param: Tensor;
  readonly grad: Tensor;
  /** First moment, 0 before the first step. */
  readonly expAvg: Tensor;
  /** Second moment, 0 before the first step. */
  readonly expAvgSq: Tensor;
  /** A function gives that of each call of a captured step. */
  readonly lr: number | (() => number);
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** AdamW: the parameter shrinks by `lr · weightDecay`; else the decay joins the gradient. */
  readonly decoupled: boolean;
  /** Counts from 1. A captured step has to have a function, which gives that of each call. */
  readonly step: number | (() => number);
}

const TENSORS = ["param", "grad", "expAvg", "expAvgSq"] as const satisfies (keyof AdamStep)[];
const NUMBERS = ["beta1", "beta2", "eps", "weightDecay"] as const satisfies (keyof AdamStep)[];
const FIELDS = [...TENSORS, ...NUMBERS, "lr", "decoupled", "step"] as const satisfies (keyof AdamStep)[];
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
  adamSteps([update]);
}

/**
 * `adamStep` for many parameters. The first time, what is f32 is written to lots (lots.ts), in the order given; from then on what lies side by
 * side there, and has the same numbers and gradients that lie as the parameters do, is updated in one launch, to the same bits.
 * @throws as `adamStep`; Error when a parameter or a moment is given twice
 */
export function adamSteps(updates: readonly AdamStep[]): void {
  if (!Array.isArray(updates)) throw wrongArgument("adamSteps", "updates", "an array of updates", updates);
  const targets = new Set<Tensor>();
  for (const update of updates) {
    checkUpdate(update);
    for (const target of [update.param, update.expAvg, update.expAvgSq]) {
      if (targets.has(target)) {
        throw new Error(`adamStep: parameters and moments are tensors of their own, got ${describe(target)} twice`);
      }
      targets.add(target);
    }
  }
  for (const half of updates.filter(({ param }) => param.dtype === "f16")) stepWidened(half);
  const single = updates.filter(({ param }) => param.dtype === "f32" && param.size > 0);
  for (const device of new Set(single.map(({ param }) => param.device))) {
    stepTogether(
      device.backend,
      single.filter(({ param }) => param.device === device),
    );
  }
}

/** The moments of parameters before the first step: zeros in f32, in lots. They are their caller's to keep. */
export function zeroMoments(params: readonly Tensor[]): Tensor[] {
  checkTensors("zeroMoments", "params", params);
  const moments = new Map<Tensor, Tensor>();
  for (const device of new Set(params.map((param) => param.device))) {
    const own = params.filter((param) => param.device === device && param.size > 0);
    const sizes = own.map(({ size }) => 4 * size);
    const cuts = cutIntoLots(device.backend, sizes);
    for (const [lot, end] of cuts.slice(1).entries()) {
      const start = cuts[lot]!;
      const { pieces } = lotOf(device.backend, sizes.slice(start, end), "zeroMoments", true);
      for (const [i, piece] of pieces.entries()) {
        const param = own[start + i]!;
        moments.set(param, made(device, storedIn(piece, param.shape), param.shape, "f32", "zeroMoments"));
      }
    }
  }
  return params.map((param) => moments.get(param) ?? param.device.zeros(param.shape));
}

/**
 * Writes parameters in f32, and those in i32, to lots, in the order given, unless they lie in such alone already: what the first `adamSteps` of them does besides.
 * Gradients lie as parameters do, and where they lie decides in which order a norm adds them up: so who lays them before each step, also
 * before the first one after a checkpoint, has the same bits as who never stopped.
 */
export function layTogether(params: readonly Tensor[]): void {
  checkTensors("layTogether", "params", params);
  for (const kind of ["f32", "i32"] as const) {
    const some = params.filter(({ dtype, size }) => dtype === kind && size > 0);
    for (const device of new Set(some.map((param) => param.device))) {
      const own = some.filter((param) => param.device === device);
      const cuts = cutIntoLots(device.backend, own.map(bytesOf));
      for (const [lot, end] of cuts.slice(1).entries()) layLot(device.backend, own.slice(cuts[lot]!, end));
    }
  }
}

function layLot(backend: Backend, params: readonly Tensor[]): void {
  const first = lotIn(params[0]!);
  const laid = params.every((param, i) => {
    const { storage } = param.dense("layTogether");
    return storage.lot !== undefined && storage.lot === first && storage.piece === i;
  });
  if (params.length < 2 || (laid && first!.pieces.length === params.length)) return;
  const { pieces } = lotOf(backend, params.map(bytesOf), "layTogether");
  const left = new Set(pieces);
  try {
    for (const [i, param] of params.entries()) {
      const write = param.overwrite("layTogether", pieces[i]!);
      left.delete(pieces[i]!);
      try {
        backend.copy({ out: write.after, input: write.before });
      } catch (error) {
        write.abandon();
        throw error;
      }
      write.commit();
    }
  } finally {
    for (const piece of left) piece.release();
  }
}

/** A parameter of f16: as one of f32, which is rounded. */
function stepWidened(update: AdamStep): void {
  const { param, grad } = update;
  const wide = noGrad(() => widened(param));
  try {
    stepTogether(param.device.backend, [{ ...update, param: wide, grad }]);
    const rounded = param.overwrite("adamStep");
    param.device.backend.pointwise({ out: rounded.after, tree: ROUNDED, leaves: [wide.view()], params: [] });
    rounded.commit();
  } finally {
    wide.dispose();
  }
}

/** What is written, in the order in which the kernels name it. */
const TARGETS = ["param", "expAvg", "expAvgSq"] as const satisfies (keyof AdamStep)[];

/** Updates of parameters in f32, of one device. */
function stepTogether(backend: Backend, updates: readonly AdamStep[]): void {
  // The gradients first: they may still have to be computed, from the parameters among others. Held, so that nothing is written over them.
  computeTogether(updates.map(({ grad }) => grad));
  const grads: View[] = [];
  // No launch reads and writes one buffer: what lies in one that is written is copied.
  const written = new Set(updates.flatMap((update) => TARGETS.map((target) => lotIn(update[target]))));
  written.delete(undefined);
  try {
    for (const { grad } of updates) {
      const wide = noGrad(() => (written.has(lotIn(grad)) ? clone(grad) : widened(grad)));
      const view = wide.dense("adamStep");
      view.storage.retain();
      grads.push(view);
      if (wide !== grad) wide.dispose();
    }
    const cuts = cutIntoLots(
      backend,
      updates.map(({ param }) => bytesOf(param)),
    );
    const anew = TARGETS.filter((target) =>
      liesApart(
        updates.map((update) => update[target]),
        cuts.length - 2,
      ),
    );
    for (const [lot, end] of cuts.slice(1).entries()) {
      const start = cuts[lot]!;
      stepLot(backend, updates.slice(start, end), grads.slice(start, end), anew);
    }
  } finally {
    for (const { storage } of grads) storage.release();
  }
}

/** True where so many lie elsewhere than behind the others that all are better written to lots anew. One that goes its own way may. */
function liesApart(tensors: readonly Tensor[], cuts: number): boolean {
  let [strays, last]: [number, Storage | undefined] = [0, undefined];
  for (const tensor of tensors) {
    const { storage } = tensor.dense("adamStep");
    if (storage.lot === undefined || (last && (storage.lot !== last.lot || storage.piece < last.piece))) strays++;
    if (storage.lot !== undefined) last = storage;
  }
  return tensors.length > 1 && 8 * (strays - cuts) > tensors.length;
}

type Write = ReturnType<Tensor["overwrite"]>;

/** @param anew what is written to a lot of its own */
function stepLot(
  backend: Backend,
  updates: readonly AdamStep[],
  grads: readonly View[],
  anew: readonly (typeof TARGETS)[number][],
): void {
  const sizes = updates.map(({ param }) => bytesOf(param));
  const writes: Write[][] = [];
  try {
    for (const target of TARGETS) {
      const own: Write[] = [];
      writes.push(own);
      const lot = anew.includes(target) ? lotOf(backend, sizes, `adamStep.${target}`) : undefined;
      for (const [i, update] of updates.entries()) own.push(update[target].overwrite("adamStep", lot?.pieces[i]));
    }
    const numbers = updates.map(adamNumbers);
    const operands = [grads, ...writes.flatMap((own) => [befores(own), afters(own)])];
    const runs = runsOf(
      updates.length,
      (i) => sameNumbers(numbers[i]!, numbers[i - 1]!) && operands.every((own) => follows(own[i]!, own[i - 1]!)),
    );
    for (const [start, end] of runs) {
      const [param, expAvg, expAvgSq] = writes.map((own): Update => {
        const run = own.slice(start, end);
        const after = joined(afters(run));
        return { before: run[0]!.before.storage === run[0]!.after.storage ? after : joined(befores(run)), after };
      });
      const grad = joined(grads.slice(start, end));
      const targets = { param: param!, expAvg: expAvg!, expAvgSq: expAvgSq! };
      backend.adam({ grad, ...targets, numbers: numbers[start]!, ...laterNumbers(updates.slice(start, end)) });
    }
    for (const own of writes) for (const write of own.splice(0)) write.commit();
  } finally {
    for (const own of writes) for (const write of own) write.abandon();
  }
}

function befores(writes: readonly Write[]): View[] {
  return writes.map(({ before }) => before);
}

function afters(writes: readonly Write[]): View[] {
  return writes.map(({ after }) => after);
}

function sameNumbers(a: AdamNumbers, b: AdamNumbers): boolean {
  return (Object.keys(a) as (keyof AdamNumbers)[]).every((name) => a[name] === b[name]);
}

/** In a function that is being captured, the numbers of a later call, in which all of a run have to have the same. */
function laterNumbers(run: readonly AdamStep[]): Pick<AdamCall, "later"> {
  const { watcher } = capturing;
  if (!watcher) return {};
  const first = run[0]!;
  watcher.expect(() => run.every(({ lr, step }) => now(lr) === now(first.lr) && now(step) === now(first.step)));
  return { later: () => adamNumbers(first) };
}

function now(number: number | (() => number)): number {
  return typeof number === "function" ? number() : number;
}

/** The lot that a tensor lies in. */
function lotIn(x: Tensor): Lot | undefined {
  const { state } = x.value("adamStep");
  return state.kind === "stored" ? state.storage.lot : undefined;
}

function bytesOf({ size, dtype }: Tensor): number {
  return size * bytesPerElement(dtype);
}

function checkUpdate(update: AdamStep): void {
  checkOptions("adamStep", update, FIELDS);
  const { param, grad, expAvg, expAvgSq } = update;
  const [lr, step] = [now(update.lr), now(update.step)];
  for (const name of TENSORS) checkTensor("adamStep", name, update[name]);
  for (const name of NUMBERS) checkNumber("adamStep", name, update[name], 0);
  checkNumber("adamStep", "lr", lr, 0);
  if (!(update.beta1 < 1 && update.beta2 < 1)) {
    throw new RangeError(`adamStep: beta1 ${update.beta1} and beta2 ${update.beta2} have to be below 1`);
  }
  checkFlag("adamStep", "decoupled", update.decoupled);
  check("grad", grad, param);
  check("expAvg", expAvg, param);
  check("expAvgSq", expAvgSq, param);
  if (!Number.isInteger(step) || step < 1) {
    throw new RangeError(`adamStep: step ${step} is not a whole number from 1 on`);
  }
  if (capturing.watcher && typeof update.step === "number") {
    throw new Error(`capture: adamStep: step ${step} would be that of every call: give a function`);
  }
  deviceOf("adamStep", param, grad, expAvg, expAvgSq);
  for (const target of TARGETS) update[target].checkWritable("adamStep");
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
function adamNumbers({ beta1, beta2, eps, weightDecay, decoupled, ...update }: AdamStep): AdamNumbers {
  const [lr, step] = [now(update.lr), now(update.step)];
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
