import { record } from "../autograd.ts";
import { type DType, isFloat, promote } from "../dtype.ts";
import { DTypeError, describe } from "../errors.ts";
import { compose, OPERAND, type Part } from "../expr/compose.ts";
import { derivative } from "../expr/derivative.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import { broadcastShapes, numel, type Shape, sameShape } from "../shape.ts";
import { deviceOf, made, Tensor } from "../tensor.ts";
import { Leaves, type Value } from "../value.ts";
import { sumTo } from "./reduction.ts";

/** What a pointwise op takes: a tensor, or a number that is the same everywhere. */
export type Operand = Tensor | number;

/** Leaves of one launch: with the result they stay within the 8 storage bindings that every adapter has. */
const MAX_LEAVES = 6;
const MAX_NODES = 64;
const MAX_PARAMS = 16;
/** A pending tree heavier than this is stored rather than computed a second time. */
const RECOMPUTE_WEIGHT = 12;
/** What may be recomputed for every element that it is broadcast to. */
const BROADCAST_WEIGHT = 3;

/** True when the pending tree of an operand is better taken into its consumer than computed on its own. */
function absorbs(value: Value, weight: number, shape: Shape): boolean {
  if (value.consumers > 0 && weight > RECOMPUTE_WEIGHT) return false;
  return weight <= BROADCAST_WEIGHT || numel(shape) <= numel(value.shape);
}

/** A pending tensor: `tree` over operands, whose own pending trees are taken in as far as they fit. */
function evaluate(
  op: string,
  tree: Expr,
  operands: readonly Tensor[],
  params: readonly number[],
  shape: Shape,
): Tensor {
  const device = deviceOf(op, ...operands);
  const leaves = new Leaves();
  try {
    const values = operands.map((x) => x.value(op));
    const numbers = [...params];
    let { nodes } = E.measure(tree);
    const parts: Part[] = [];
    for (const [i, value] of values.entries()) {
      // What is an operand twice is taken in once.
      const before = values.indexOf(value);
      const known = before < i ? parts[before] : undefined;
      parts.push(known ?? take(value, values.length - i - 1));
    }
    function take(value: Value, others: number): Part {
      const { state } = value;
      const times = values.filter((other) => other === value).length;
      const fits =
        state.kind === "pending" &&
        absorbs(value, state.weight, shape) &&
        leaves.views.length + state.leaves.length + others <= MAX_LEAVES &&
        nodes + times * state.nodes <= MAX_NODES &&
        numbers.length + state.params.length <= MAX_PARAMS;
      if (!fits) return { tree: OPERAND[value.dtype], leaves: [leaves.add(value.view(), shape)], firstParam: 0 };
      value.consumers++;
      nodes += times * state.nodes;
      const firstParam = numbers.length;
      numbers.push(...state.params);
      return { tree: state.tree, leaves: state.leaves.map((view) => leaves.add(view, shape)), firstParam };
    }
    const whole = compose(tree, parts);
    return made(
      device,
      { kind: "pending", tree: whole, leaves: leaves.views, params: numbers, ...E.measure(whole) },
      shape,
      whole.dtype,
      op,
    );
  } catch (error) {
    leaves.release();
    throw error;
  }
}

/** A formula for given kinds of arguments, with its derivatives. */
interface Formula {
  readonly tree: Expr;
  /** By each tensor argument, times the incoming gradient (the last leaf). */
  readonly gradients: readonly Gradient[];
}

interface Gradient {
  readonly tree: Expr;
  /** Which operands (tensor arguments, then dy) the tree reads, in the order of its leaves. */
  readonly reads: readonly number[];
}

/** Drops leaves that a tree does not read and renumbers the rest. */
function prune(tree: Expr): Gradient {
  const reads: number[] = [];
  const pruned = E.substitute(
    tree,
    (index, dtype) => {
      let at = reads.indexOf(index);
      if (at < 0) at = reads.push(index) - 1;
      return E.leaf(at, dtype);
    },
    (index, dtype) => E.param(index, dtype),
  );
  return { tree: pruned, reads };
}

/** Options of `pointwise`. */
export interface PointwiseOptions {
  /** Derivatives by each argument where a hand-written one is more accurate than the symbolic one. */
  readonly derivatives?: (...args: Expr[]) => readonly Expr[];
}

/**
 * Makes an op of a formula: broadcasting, type promotion, fusion with its neighbours and the gradient come with it. Arguments
 * that are numbers become parameters of the kernel, so that a new number needs no new kernel.
 * @example const swish = pointwise("swish", (x, beta) => E.mul(x, E.sigmoid(E.mul(beta, x))));
 */
export function pointwise<Args extends Operand[]>(
  name: string,
  formula: (...args: Expr[]) => Expr,
  options: PointwiseOptions = {},
): (...args: Args) => Tensor {
  const formulas = new Map<string, Formula>();
  return (...given) => {
    // As many arguments as the formula has: `tensors.reduce(add)` passes an index and the array besides.
    const args = formula.length > 0 ? given.slice(0, formula.length) : given;
    const tensors = args.filter((arg) => arg instanceof Tensor) as Tensor[];
    if (tensors.length === 0) throw new DTypeError(`${name}: at least one operand must be a tensor`);
    const numbers = args.filter((arg) => typeof arg === "number") as number[];
    const key = args.map((arg) => (typeof arg === "number" ? "#" : arg.dtype)).join();
    const common = commonDType(tensors, numbers);
    const full = `${key}:${common}`;
    let known = formulas.get(full);
    if (!known) {
      known = derive(formula, args, common, options);
      formulas.set(full, known);
    }
    let shape: Shape = tensors[0]!.shape;
    for (const tensor of tensors.slice(1)) shape = broadcast(name, shape, tensor, tensors);
    const y = evaluate(name, known.tree, tensors, numbers, shape);
    if (!isFloat(y.dtype)) return y;
    const { gradients } = known;
    return record(
      y,
      name,
      ...tensors.map((x, i) => {
        const gradient = gradients[i]!;
        const { shape: own } = x;
        // The incoming gradient comes last of what the tree reads, where it reads it at all.
        const needs = gradient.reads.filter((operand) => operand < tensors.length).map((operand) => tensors[operand]!);
        return [
          x,
          needs,
          (dy: Tensor, ...saved: Tensor[]) =>
            sumTo(apply(name, gradient, tensors.length, dy, saved, numbers, shape), own),
        ] as const;
      }),
    );
  };
}

/** A result that has one value everywhere, whatever `x` is; the gradient is 0. */
export function sameEverywhere(op: string, x: Tensor, value: number): Tensor {
  const { device } = x;
  const { dtype } = x.value(op);
  return record(device.full(x.shape, value, { dtype }), op, [x, (dy) => device.zeros(x.shape, { dtype: dy.dtype })]);
}

function broadcast(name: string, shape: Shape, tensor: Tensor, tensors: readonly Tensor[]): Shape {
  if (sameShape(shape, tensor.shape)) return shape;
  try {
    return broadcastShapes(name, shape, tensor.shape);
  } catch (error) {
    // The same message with dtypes, for the usual two operands.
    const [a, b] = tensors as [Tensor, Tensor];
    if (tensors.length === 2 && error instanceof Error) {
      error.message = error.message.replace(/a \[.*?\] with b \[.*?\]/, `a ${describe(a)} with b ${describe(b)}`);
    }
    throw error;
  }
}

/**
 * One gradient: nothing to launch when it is the incoming gradient itself or a constant 0.
 * @param count how many operands come before the incoming gradient
 */
function apply(
  name: string,
  { tree, reads }: Gradient,
  count: number,
  dy: Tensor,
  saved: readonly Tensor[],
  numbers: readonly number[],
  shape: Shape,
): Tensor {
  if (reads.length === 0) return dy.device.full(shape, tree.op === "const" ? tree.value : 0);
  let next = 0;
  const operands = reads.map((operand) => (operand === count ? dy : saved[next++]!));
  if (tree.op === "leaf") {
    const x = operands[0]!;
    if (sameShape(x.shape, shape) && x.dtype === tree.dtype) return x;
  }
  return evaluate(`${name}.grad`, tree, operands, numbers, shape);
}

/** The dtype that arithmetic happens in; a fractional number makes whole-number tensors f32, as in PyTorch. */
function commonDType(tensors: readonly Tensor[], numbers: readonly number[]): DType {
  const common = tensors.map((x) => x.dtype).reduce(promote);
  if (isFloat(common) || numbers.length === 0) return common;
  if (numbers.every(Number.isInteger)) return common === "bool" ? "i32" : common;
  return "f32";
}

function derive(
  formula: (...args: Expr[]) => Expr,
  args: readonly Operand[],
  common: DType,
  options: PointwiseOptions,
): Formula {
  let leaves = 0;
  let params = 0;
  const terms = args.map((arg) => {
    if (typeof arg === "number") return E.param(params++, common);
    // Conditions stay what they are; everything else meets in the common type.
    const leaf = E.leaf(leaves++, arg.dtype);
    return arg.dtype === "bool" ? leaf : E.cast(leaf, common);
  });
  const tree = formula(...terms);
  const byHand = options.derivatives?.(...terms);
  const dy = E.leaf(leaves, isFloat(tree.dtype) ? tree.dtype : "f32");
  const gradients: Gradient[] = [];
  let tensor = 0;
  args.forEach((arg, i) => {
    if (typeof arg === "number") return;
    const slope = byHand ? byHand[i]! : derivative(tree, tensor);
    tensor++;
    gradients.push(isFloat(arg.dtype) ? prune(E.mul(dy, slope)) : prune(E.constant(0)));
  });
  return { tree, gradients };
}
