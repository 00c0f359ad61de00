import { checkFunction, checkOperands, checkOptions, wrongArgument } from "../arguments.ts";
import { record, recorded } from "../autograd.ts";
import { DTYPES, type DType, fits, isFloat, promote } from "../dtype.ts";
import { DTypeError, describe } from "../errors.ts";
import { compose, OPERAND, type Part } from "../expr/compose.ts";
import { derivative } from "../expr/derivative.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import { deviceOf, made } from "../making.ts";
import { broadcastShapes, numel, type Shape, sameShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { Leaves, type Pending, type Value, worthAgain } from "../value.ts";
import { sumTo } from "./reduction.ts";

/** What a pointwise op takes: a tensor, or a number that is the same everywhere. */
export type Operand = Tensor | number;

/** Leaves of one launch: with the result they stay within the 8 storage bindings that every adapter has. */
const MAX_LEAVES = 6;
const MAX_NODES = 64;
const MAX_PARAMS = 16;
/** What may be recomputed for every element that it is broadcast to; more where a launch costs more than that. */
const BROADCAST_WEIGHT = 3;
const BROADCAST_WEIGHT_OR_LAUNCH = 12;

/** True when the pending tree of an operand is better taken into its consumer than computed on its own. */
function absorbs(value: Value, state: Pending, shape: Shape): boolean {
  if (!worthAgain(value, state)) return false;
  const most = value.backend.epilogues ? BROADCAST_WEIGHT_OR_LAUNCH : BROADCAST_WEIGHT;
  return state.weight <= most || numel(shape) <= numel(value.shape);
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
  const count = operands.length;
  const leaves = new Leaves();
  try {
    const values = operands.map((x) => x.value(op));
    const numbers = [...params];
    let { nodes } = E.measure(tree);
    const parts: Part[] = [];
    for (let i = 0; i < count; i++) {
      const value = values[i]!;
      const before = values.indexOf(value);
      if (before < i) {
        // What is an operand twice is taken in once.
        parts.push(parts[before]!);
        continue;
      }
      const { state } = value;
      if (state.kind === "pending" && absorbs(value, state, shape)) {
        const times = values.reduce((sum, other) => (other === value ? sum + 1 : sum), 0);
        const fits =
          leaves.views.length + state.leaves.length + count - i - 1 <= MAX_LEAVES &&
          nodes + times * state.nodes <= MAX_NODES &&
          numbers.length + state.params.length <= MAX_PARAMS;
        if (fits) {
          value.consumers++;
          nodes += times * state.nodes;
          const firstParam = numbers.length;
          numbers.push(...state.params);
          parts.push({ tree: state.tree, leaves: state.leaves.map((view) => leaves.add(view, shape)), firstParam });
          continue;
        }
      }
      const leaf = leaves.add(value.lazy(), shape);
      value.consumers++;
      parts.push({ tree: OPERAND[value.dtype], leaves: [leaf], firstParam: 0 });
    }
    const whole = compose(tree, parts);
    const { nodes: all, weight } = E.measure(whole);
    const pending: Pending = {
      kind: "pending",
      tree: whole,
      leaves: leaves.views,
      params: numbers,
      nodes: all,
      weight,
    };
    return made(device, pending, shape, whole.dtype, op);
  } catch (error) {
    leaves.release();
    throw error;
  }
}

/** A formula for given kinds of arguments, with its derivatives, which take and give f32 whatever the operands are. */
interface Formula {
  readonly tree: Expr;
  /** The type of the numbers among the arguments, where that is one of whole numbers. */
  readonly whole: "i32" | "u32" | undefined;
  /** By each tensor argument, times the incoming gradient (the last leaf). */
  readonly gradients: readonly Gradient[];
}

interface Gradient {
  readonly tree: Expr;
  /** Which operands (tensor arguments, then dy, then the result) the tree reads, in the order of its leaves. */
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
  /**
   * The derivative of a formula of one argument, told from its result, which is saved instead of the argument: what computed that can end in the formula
   * then, and nothing else of it is stored.
   */
  readonly derivativeFromResult?: (result: Expr) => Expr;
  /** What the arguments are called in messages; default x, or a, b, c. */
  readonly names?: readonly string[];
  /**
   * What the formula's arguments are. `common` (the default): all of the operands' common type, as PyTorch promotes them. `number`: the
   * same, but truth values count as i32. `float`: the same, but whole numbers and truth values become f32. `own`: each as it is.
   */
  readonly computes?: "common" | "number" | "float" | "own";
  /** How many of the first arguments are conditions, which stay as they are and have no part in the common type; default 0. */
  readonly conditions?: number;
  /** Types that no operand may have. */
  readonly refuses?: readonly DType[];
}

const OPTIONS = [
  "derivatives",
  "derivativeFromResult",
  "names",
  "computes",
  "conditions",
  "refuses",
] as const satisfies (keyof PointwiseOptions)[];

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
  if (typeof name !== "string") throw wrongArgument("pointwise", "name", "a string", name);
  checkFunction("pointwise", "formula", formula);
  checkOptions("pointwise", options, OPTIONS);
  const formulas = new Map<string, Formula>();
  const { conditions = 0 } = options;
  return (...given) => {
    // As many arguments as the formula has: `tensors.reduce(add)` passes an index and the array besides.
    const args = formula.length > 0 && given.length > formula.length ? given.slice(0, formula.length) : given;
    checkOperands(name, args, formula.length, options.names);
    const tensors = args.filter((arg) => arg instanceof Tensor) as Tensor[];
    if (tensors.length === 0) throw new DTypeError(`${name}: at least one operand must be a tensor`);
    const numbers = args.filter((arg) => typeof arg === "number") as number[];
    let key = "";
    for (const arg of args) key += typeof arg === "number" ? "#" : arg.rank === 0 ? `${arg.dtype}.` : arg.dtype;
    // Whole numbers beside whole-number tensors stay whole, in one kernel; others make them f32, in another.
    if (numbers.length > 0) key += numbers.every(Number.isInteger);
    let known = formulas.get(key);
    if (!known) {
      known = derive(name, formula, args, conditions, options);
      formulas.set(key, known);
    }
    if (known.whole) checkNumbers(name, numbers, known.whole, tensors);
    let shape: Shape = tensors[0]!.shape;
    for (const tensor of tensors) shape = broadcast(name, shape, tensor, tensors);
    const y = evaluate(name, known.tree, tensors, numbers, shape);
    if (!isFloat(y.dtype) || !recorded(tensors)) return y;
    const { gradients } = known;
    return record(
      y,
      name,
      ...tensors.map((x, i) => {
        const gradient = gradients[i]!;
        const { shape: own } = x;
        // The incoming gradient is not there yet.
        const needs = gradient.reads
          .filter((operand) => operand !== tensors.length)
          .map((operand) => tensors[operand] ?? y);
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
  const { shape } = x;
  return record(device.full(shape, value, { dtype }), op, [x, (dy) => device.zeros(shape, { dtype: dy.dtype })]);
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

/** @throws DTypeError for a whole number that is none of the tensors' type */
function checkNumbers(
  name: string,
  numbers: readonly number[],
  dtype: "i32" | "u32",
  tensors: readonly Tensor[],
): void {
  for (const number of numbers) {
    if (fits(number, dtype)) continue;
    const beside = tensors.map(describe).join(", ");
    throw new DTypeError(`${name}: ${number} is no number of ${dtype}, beside ${beside}: cast that to f32`);
  }
}

/**
 * The type that arithmetic happens in, which is PyTorch's: a fractional number makes whole-number tensors f32, a whole one makes truth
 * values i32. So does a tensor of one number without axes, which does not widen the type of others: f16 stays f16 beside f32[].
 * @throws DTypeError for i32 beside u32
 */
function commonDType(name: string, tensors: readonly Tensor[], numbers: readonly number[]): DType {
  const promoted = (among: readonly Tensor[]): DType | undefined => {
    let common = among[0]?.dtype;
    for (const x of among) {
      const next: DType | undefined = common && promote(common, x.dtype);
      if (next) common = next;
      else {
        const what = tensors.map(describe).join(" and ");
        throw new DTypeError(`${name}: i32 and u32 have no common type, got ${what}; cast one`);
      }
    }
    return common;
  };
  let common = promoted(tensors);
  const wide = promoted(tensors.filter((x) => x.rank > 0));
  if (wide && isFloat(wide)) common = wide;
  if (common && (isFloat(common) || numbers.length === 0)) return common;
  if (numbers.every(Number.isInteger)) return common && common !== "bool" ? common : "i32";
  return "f32";
}

/** What the arguments of a formula are when their common type is `common`. */
function computedDType(common: DType, computes: PointwiseOptions["computes"]): DType {
  if (computes === "float" && !isFloat(common)) return "f32";
  return computes === "number" && common === "bool" ? "i32" : common;
}

function derive(
  name: string,
  formula: (...args: Expr[]) => Expr,
  args: readonly Operand[],
  conditions: number,
  options: PointwiseOptions,
): Formula {
  const { computes = "common", refuses = [] } = options;
  const all = args.filter((arg) => typeof arg !== "number");
  const refused = all.find((x) => refuses.includes(x.dtype));
  if (refused) {
    const taken = DTYPES.filter((dtype) => !refuses.includes(dtype)).join(", ");
    throw new DTypeError(`${name}: takes ${taken}, got ${describe(refused)}`);
  }
  const free = args.slice(conditions);
  const numbers = free.filter((arg) => typeof arg === "number");
  const tensors = free.filter((arg) => typeof arg !== "number");
  const own = computes === "own";
  const common = own ? "f32" : computedDType(commonDType(name, tensors, numbers), computes);
  const half = common === "f16";
  // Values of f16 are computed with in f32 and rounded at the end. A number is as exact as that, but in a comparison, which has no end.
  const termsOf = (rounded: boolean): Expr[] => {
    let [leaves, params] = [0, 0];
    return args.map((arg, i) => {
      if (typeof arg === "number") {
        const number = E.param(params++, half ? "f32" : common);
        return rounded ? E.cast(E.cast(number, "f16"), "f32") : number;
      }
      const leaf = E.leaf(leaves++, arg.dtype);
      if (own || i < conditions) return leaf;
      // A whole number beside f16 becomes f16 first, which may round it.
      return half ? E.cast(E.cast(leaf, "f16"), "f32") : E.cast(leaf, common);
    });
  };
  let terms = termsOf(false);
  let inner = formula(...terms);
  if (half && inner.dtype === "bool" && numbers.length > 0) {
    terms = termsOf(true);
    inner = formula(...terms);
  }
  const wrong = E.mistyped(inner);
  if (wrong) throw new DTypeError(`${name}: has no ${wrong}, got ${all.map(describe).join(", ")}`);
  const tree = half && inner.dtype === "f32" ? E.cast(inner, "f16") : inner;
  const gradients: Gradient[] = [];
  if (isFloat(tree.dtype)) {
    const fromResult = options.derivativeFromResult;
    const byHand = fromResult
      ? [fromResult(E.cast(E.leaf(all.length + 1, tree.dtype), "f32"))]
      : options.derivatives?.(...terms);
    const dy = E.leaf(all.length, "f32");
    let tensor = 0;
    args.forEach((arg, i) => {
      if (typeof arg === "number") return;
      const slope = byHand ? byHand[i]! : derivative(inner, tensor);
      tensor++;
      gradients.push(isFloat(arg.dtype) ? prune(E.mul(dy, slope)) : prune(E.constant(0)));
    });
  }
  const whole = numbers.length > 0 && (common === "i32" || common === "u32") ? common : undefined;
  return { tree, whole, gradients };
}
