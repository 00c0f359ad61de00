import { provide, record } from "../autograd.ts";
import type { View } from "../backend.ts";
import type { Device } from "../device.ts";
import { type DType, isFloat, promote } from "../dtype.ts";
import { DeviceError, DTypeError, describe } from "../errors.ts";
import { derivative } from "../expr/derivative.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import { expandLayout, type Layout } from "../layout.ts";
import { broadcastShapes, numel, type Shape, sameShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { enterPending, type Pending } from "../value.ts";
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

/** The device of several operands. @throws DeviceError when they live on two. */
export function deviceOf(op: string, ...tensors: readonly Tensor[]): Device {
  const { device } = tensors[0]!;
  for (const tensor of tensors) {
    if (tensor.device !== device) {
      throw new DeviceError(
        `${op}: operands are on two devices: ${device.info.adapter} and ${tensor.device.info.adapter}`,
      );
    }
  }
  return device;
}

/** Pending or stored, as a tree over views of `shape`. */
interface Part {
  readonly tree: Expr;
  readonly leaves: readonly View[];
  readonly params: readonly number[];
  readonly nodes: number;
}

function storedPart(x: Tensor, shape: Shape, op: string): Part {
  const view = x.view(op);
  return {
    tree: E.leaf(0, x.dtype),
    leaves: [{ ...view, layout: expandLayout(view.layout, shape) }],
    params: [],
    nodes: 1,
  };
}

function pendingPart(value: Pending, shape: Shape): Part {
  const leaves = value.leaves.map((view) => ({ ...view, layout: expandLayout(view.layout, shape) }));
  return { tree: value.tree, leaves, params: value.params, nodes: value.nodes };
}

/** True when the pending tree of an operand is better taken into its consumer than computed on its own. */
function absorbs(value: Pending, x: Tensor, shape: Shape): boolean {
  if (value.consumers > 0 && value.weight > RECOMPUTE_WEIGHT) return false;
  return value.weight <= BROADCAST_WEIGHT || numel(shape) <= x.size;
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
  const views: View[] = [];
  const numbers = [...params];
  let nodes = E.measure(tree).nodes;
  const parts = operands.map((x, i) => {
    const value = x.value(op);
    const others = operands.length - i - 1;
    if (value.kind === "pending" && absorbs(value, x, shape)) {
      const fits =
        views.length + value.leaves.length + others <= MAX_LEAVES &&
        nodes + value.nodes <= MAX_NODES &&
        numbers.length + value.params.length <= MAX_PARAMS;
      if (fits) {
        value.consumers++;
        return merge(pendingPart(value, shape), views, numbers);
      }
    }
    return merge(storedPart(x, shape, op), views, numbers);
  });
  const whole = E.substitute(
    tree,
    (index, dtype) => E.cast(parts[index]!, dtype),
    (index, dtype) => E.param(index, dtype),
  );
  const { nodes: count, weight } = E.measure(whole);
  nodes = count;
  const pending: Pending = {
    kind: "pending",
    tree: whole,
    leaves: views,
    params: numbers,
    nodes,
    weight,
    consumers: 0,
    compute: undefined,
  };
  enterPending(pending);
  return new Tensor(device, pending, shape, whole.dtype, op);
}

/** Enters a part's leaves and params into the common lists (equal leaves once) and renumbers its tree. */
function merge(part: Part, views: View[], numbers: number[]): Expr {
  const at = part.leaves.map((view) => {
    const known = views.findIndex(
      (other) => other.storage === view.storage && other.dtype === view.dtype && sameLayout(other.layout, view.layout),
    );
    return known >= 0 ? known : views.push(view) - 1;
  });
  const first = numbers.length;
  numbers.push(...part.params);
  return E.substitute(
    part.tree,
    (index, dtype) => E.leaf(at[index]!, dtype),
    (index, dtype) => E.param(first + index, dtype),
  );
}

function sameLayout(a: Layout, b: Layout): boolean {
  return a.offset === b.offset && sameShape(a.shape, b.shape) && sameShape(a.strides, b.strides);
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
      ...tensors.map(
        (x, i) =>
          [x, (dy: Tensor) => sumTo(apply(name, gradients[i]!, [...tensors, dy], numbers, shape), x.shape)] as const,
      ),
    );
  };
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

/** One gradient: nothing to launch when it is the incoming gradient itself or a constant 0. */
function apply(
  name: string,
  { tree, reads }: Gradient,
  operands: readonly Tensor[],
  numbers: readonly number[],
  shape: Shape,
): Tensor {
  if (tree.op === "leaf") {
    const x = operands[reads[0]!]!;
    if (sameShape(x.shape, shape) && x.dtype === tree.dtype) return x;
  }
  if (reads.length === 0) return operands[0]!.device.full(shape, tree.op === "const" ? tree.value : 0);
  return evaluate(
    `${name}.grad`,
    tree,
    reads.map((i) => operands[i]!),
    numbers,
    shape,
  );
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

type UnaryOp = (x: Tensor) => Tensor;
type BinaryOp = (a: Operand, b: Operand) => Tensor;

/** `a + b`, broadcasting. */
export const add: BinaryOp = pointwise("add", (a, b) => E.add(a!, b!));
/** `a − b`, broadcasting. */
export const sub: BinaryOp = pointwise("sub", (a, b) => E.sub(a!, b!));
/** `a · b`, elementwise, broadcasting. */
export const mul: BinaryOp = pointwise("mul", (a, b) => E.mul(a!, b!));
/** `a / b`, broadcasting; whole numbers divide to f32. */
export const div: BinaryOp = pointwise("div", (a, b) => E.div(real(a!), real(b!)));
/** The larger of two, NaN if either is; at a tie each side gets half of the gradient. */
export const maximum: BinaryOp = pointwise("maximum", (a, b) => E.max(a!, b!));
/** The smaller of two, NaN if either is; at a tie each side gets half of the gradient. */
export const minimum: BinaryOp = pointwise("minimum", (a, b) => E.min(a!, b!));

export const neg: UnaryOp = pointwise("neg", (x) => E.neg(x!));
/** `|x|`; the gradient at 0 is 0. */
export const abs: UnaryOp = pointwise("abs", (x) => E.abs(x!));
export const exp: UnaryOp = pointwise("exp", (x) => E.exp(x!));
/** Natural logarithm. */
export const log: UnaryOp = pointwise("log", (x) => E.log(x!));
export const sqrt: UnaryOp = pointwise("sqrt", (x) => E.sqrt(x!));
/** `1/√x`. */
export const rsqrt: UnaryOp = pointwise("rsqrt", (x) => E.rsqrt(x!));
export const square: UnaryOp = pointwise("square", (x) => E.mul(x!, x!));
/** `1/x`. */
export const reciprocal: UnaryOp = pointwise("reciprocal", (x) => E.div(1, x!));
export const sin: UnaryOp = pointwise("sin", (x) => E.sin(x!));
export const cos: UnaryOp = pointwise("cos", (x) => E.cos(x!));
/** The error function `2/√π ∫₀ˣ exp(−t²) dt`. */
export const erf: UnaryOp = pointwise("erf", (x) => E.erf(x!));
/** To the nearest whole number, ties to even; the gradient is 0. */
export const round: UnaryOp = pointwise("round", (x) => E.round(x!));
export const floor: UnaryOp = pointwise("floor", (x) => E.floor(x!));
export const ceil: UnaryOp = pointwise("ceil", (x) => E.ceil(x!));
/** −1, 0 or 1. */
export const sign: UnaryOp = pointwise("sign", (x) => E.sign(x!));

const powAny: (x: Tensor, exponent: number) => Tensor = pointwise("pow", (x, p) => E.pow(x!, p!), {
  derivatives: (x, p) => [E.mul(p!, E.pow(x!, E.sub(p!, 1))), E.constant(0)],
});
const powEven: (x: Tensor, exponent: number) => Tensor = pointwise("pow", (x, p) => E.pow(E.abs(x!), p!), {
  derivatives: (x, p) => [E.mul(E.sign(x!), E.mul(p!, E.pow(E.abs(x!), E.sub(p!, 1)))), E.constant(0)],
});
const powOdd: (x: Tensor, exponent: number) => Tensor = pointwise(
  "pow",
  (x, p) => E.mul(E.sign(x!), E.pow(E.abs(x!), p!)),
  { derivatives: (x, p) => [E.mul(p!, E.pow(E.abs(x!), E.sub(p!, 1))), E.constant(0)] },
);
const cube: UnaryOp = pointwise("pow", (x) => E.mul(x!, E.mul(x!, x!)));

/** `x` to a fixed power. A negative base needs a whole exponent, else the result is NaN, as in PyTorch. */
export function pow(x: Tensor, exponent: number): Tensor {
  switch (exponent) {
    case 0:
      return add(mul(x, 0), 1);
    case 1:
      return mul(x, 1);
    case 2:
      return square(x);
    case 3:
      return cube(x);
    case 0.5:
      return sqrt(x);
    case -0.5:
      return rsqrt(x);
    case -1:
      return reciprocal(x);
  }
  if (!Number.isInteger(exponent)) return powAny(x, exponent);
  return exponent % 2 === 0 ? powEven(x, exponent) : powOdd(x, exponent);
}

export const eq: BinaryOp = pointwise("eq", (a, b) => E.eq(a!, b!));
export const ne: BinaryOp = pointwise("ne", (a, b) => E.ne(a!, b!));
export const lt: BinaryOp = pointwise("lt", (a, b) => E.lt(a!, b!));
export const le: BinaryOp = pointwise("le", (a, b) => E.le(a!, b!));
export const gt: BinaryOp = pointwise("gt", (a, b) => E.gt(a!, b!));
export const ge: BinaryOp = pointwise("ge", (a, b) => E.ge(a!, b!));
export const logicalAnd: (a: Tensor, b: Tensor) => Tensor = pointwise("logicalAnd", (a, b) =>
  E.and(truth(a!), truth(b!)),
);
export const logicalOr: (a: Tensor, b: Tensor) => Tensor = pointwise("logicalOr", (a, b) => E.or(truth(a!), truth(b!)));
export const logicalNot: UnaryOp = pointwise("logicalNot", (x) => E.not(truth(x!)));
/** True where `x` is NaN; decided on the bits, since shader compilers may assume that there is none. */
export const isNan: UnaryOp = pointwise("isNan", (x) => E.isNan(x!));
/** True where `x` is neither NaN nor infinite. */
export const isFinite: UnaryOp = pointwise("isFinite", (x) => E.isFinite(x!));

/** `a` where `condition` is not 0, else `b`; broadcasting. */
export const where: (condition: Tensor, a: Operand, b: Operand) => Tensor = pointwise("where", (c, a, b) =>
  E.select(truth(c!), a!, b!),
);

const casts: Record<DType, UnaryOp> = {
  f32: pointwise("cast", (x) => E.cast(x!, "f32")),
  f16: pointwise("cast", (x) => E.cast(x!, "f16")),
  i32: pointwise("cast", (x) => E.cast(x!, "i32")),
  u32: pointwise("cast", (x) => E.cast(x!, "u32")),
  bool: pointwise("cast", (x) => E.cast(x!, "bool")),
};

/** Another element type; floats are cut towards zero to whole numbers. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  if (dtype === "f16" && !x.device.info.features.includes("shader-f16")) {
    throw new DTypeError(`cast: ${x.device.info.adapter} has no f16; keep ${describe(x)}`);
  }
  return casts[dtype](x);
}

function truth(x: Expr): Expr {
  return E.cast(x, "bool");
}

function real(x: Expr): Expr {
  return isFloat(x.dtype) ? x : E.cast(x, "f32");
}

provide({ add, onesLike: (x) => x.device.ones(x.shape, { dtype: x.dtype }) });
