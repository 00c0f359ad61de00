import { checkDType, checkTensor, wrongArgument } from "../arguments.ts";
import { provide } from "../backward.ts";
import { type DType, isFloat, isWhole } from "../dtype.ts";
import { DTypeError, describe } from "../errors.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import type { Tensor } from "../tensor.ts";
import { type Operand, type PointwiseOptions, pointwise, sameEverywhere } from "./formula.ts";

type UnaryOp = (x: Tensor) => Tensor;
type BinaryOp = (a: Operand, b: Operand) => Tensor;

/*
 * Types are PyTorch's. Operands of two types meet in the wider one (`promote`; i32 and u32 are refused beside each other); a whole number
 * beside whole-number tensors is exact and must be one of their type, a fractional one makes them f32. Functions of real numbers compute
 * whole numbers and truth values in f32. f16 is computed in f32 and rounded once an op.
 */
const FLOATS: PointwiseOptions = { computes: "float" };
const NUMBERS: PointwiseOptions = { computes: "number" };
const OWN: PointwiseOptions = { computes: "own" };
const NO_BOOL: PointwiseOptions = { refuses: ["bool"] };

/** `a + b`, broadcasting; of two truth values whether either holds. Whole numbers wrap around at 32 bits. */
export const add: BinaryOp = pointwise("add", (a, b) => (areTruths(a!) ? E.or(a!, b!) : E.add(a!, b!)));
/** `a − b`, broadcasting. @throws DTypeError for truth values */
export const sub: BinaryOp = pointwise("sub", (a, b) => E.sub(a!, b!), NO_BOOL);
/** `a · b`, elementwise, broadcasting; of two truth values whether both hold. */
export const mul: BinaryOp = pointwise("mul", (a, b) => (areTruths(a!) ? E.and(a!, b!) : E.mul(a!, b!)));
/** `a / b`, broadcasting; whole numbers divide to f32. Within 2.5 ulp, as `reciprocal`. */
export const div: BinaryOp = pointwise("div", (a, b) => E.div(a!, b!), FLOATS);
/** The larger of two, NaN if either is; at a tie each side gets half of the gradient. */
export const maximum: BinaryOp = pointwise("maximum", (a, b) => (areTruths(a!) ? E.or(a!, b!) : E.max(a!, b!)));
/** The smaller of two, NaN if either is; at a tie each side gets half of the gradient. */
export const minimum: BinaryOp = pointwise("minimum", (a, b) => (areTruths(a!) ? E.and(a!, b!) : E.min(a!, b!)));

/** `−x`. @throws DTypeError for u32, which has no negative numbers, and truth values */
export const neg: UnaryOp = pointwise("neg", (x) => E.neg(x!), { refuses: ["u32", "bool"] });
/** `|x|`; the gradient at 0 is 0. @throws DTypeError for truth values */
export const abs: UnaryOp = pointwise("abs", (x) => (x!.dtype === "u32" ? x! : E.abs(x!)), NO_BOOL);
/** `eˣ`, within 4 ulp; WebGPU may give 0 for subnormal results. */
export const exp: UnaryOp = pointwise("exp", (x) => E.exp(x!), FLOATS);
/** Natural logarithm, within 4 ulp; of 0 −∞, of negative numbers NaN. */
export const log: UnaryOp = pointwise("log", (x) => E.log(x!), FLOATS);
/** `√x`, within 4.5 ulp (WGSL's bound; the software adapters and the CPU round right); of negative numbers NaN. */
export const sqrt: UnaryOp = pointwise("sqrt", (x) => E.sqrt(x!), FLOATS);
/** `1/√x`, within 2 ulp; of 0 infinite, of negative numbers NaN. */
export const rsqrt: UnaryOp = pointwise("rsqrt", (x) => E.rsqrt(x!), FLOATS);
export const square: UnaryOp = pointwise("square", (x) => E.mul(x!, x!), NUMBERS);
/** `1/x`, within 2.5 ulp (WGSL's bound; the software adapters and the CPU round right). */
export const reciprocal: UnaryOp = pointwise("reciprocal", (x) => E.div(1, x!), FLOATS);
/** Sine of radians, however many: within 4 ulp, or 2⁻²⁴ where that is more. */
export const sin: UnaryOp = pointwise("sin", (x) => E.sin(x!), FLOATS);
/** Cosine of radians, however many: within 4 ulp, or 2⁻²⁴ where that is more. */
export const cos: UnaryOp = pointwise("cos", (x) => E.cos(x!), FLOATS);
/** The error function `2/√π ∫₀ˣ exp(−t²) dt`, within 4 ulp. */
export const erf: UnaryOp = pointwise("erf", (x) => E.erf(x!), FLOATS);
/** To the nearest whole number, ties to even; the gradient is 0. Whole-number tensors stay as they are, here and below. */
export const round: UnaryOp = pointwise("round", (x) => (isWhole(x!.dtype) ? x! : E.round(x!)), NO_BOOL);
export const floor: UnaryOp = pointwise("floor", (x) => (isWhole(x!.dtype) ? x! : E.floor(x!)), NO_BOOL);
export const ceil: UnaryOp = pointwise("ceil", (x) => (isWhole(x!.dtype) ? x! : E.ceil(x!)), NO_BOOL);
/** −1, 0 or 1. */
export const sign: UnaryOp = pointwise("sign", (x) => {
  if (x!.dtype === "u32") return E.select(E.eq(x!, 0), E.constant(0, "u32"), 1);
  return areTruths(x!) ? x! : E.sign(x!);
});

const anyPower: (x: Tensor, exponent: number) => Tensor = pointwise("pow", (x, p) => E.pow(x!, p!), {
  derivatives: (x, p) => [E.mul(p!, E.pow(x!, E.sub(p!, 1))), E.constant(0)],
});

/** Exponents up to this are products: cheaper, exact where the result is a whole number, and still within 9 ulp. */
const MOST_FACTORS = 10;
const products = new Map<number, UnaryOp>();

/** `xⁿ` for a whole n of 2 or more. */
function product(n: number): UnaryOp {
  let op = products.get(n);
  if (!op) {
    op = pointwise("pow", (x) => productOf(x!, n), { derivatives: (x) => [E.mul(n, productOf(x!, n - 1))] });
    products.set(n, op);
  }
  return op;
}

function productOf(x: Expr, n: number): Expr {
  if (n === 1) return x;
  const half = productOf(x, Math.floor(n / 2));
  return n % 2 === 0 ? E.mul(half, half) : E.mul(x, E.mul(half, half));
}

const root: UnaryOp = pointwise("pow", rootOf, { derivatives: (x) => [E.div(0.5, rootOf(x!))] });
const inverseRoot: UnaryOp = pointwise("pow", inverseRootOf, {
  derivatives: (x) => [E.mul(-0.5, E.mul(E.mul(inverseRootOf(x!), inverseRootOf(x!)), inverseRootOf(x!)))],
});

/** `√x` as the power, for which −0 is 0 and −∞ is ∞. */
function rootOf(x: Expr): Expr {
  return E.select(E.or(E.eq(x, 0), E.eq(x, Number.NEGATIVE_INFINITY)), E.abs(x), E.sqrt(x));
}

function inverseRootOf(x: Expr): Expr {
  return E.select(E.or(E.eq(x, 0), E.eq(x, Number.NEGATIVE_INFINITY)), E.div(1, E.abs(x)), E.rsqrt(x));
}

/** Powers of whole numbers by their exponents: products, which are exact, and wrap around as products do. */
const wholePowers = new Map<number, UnaryOp>();

function wholePower(x: Tensor, exponent: number): Tensor {
  if (!Number.isInteger(exponent)) return pow(cast(x, "f32"), exponent);
  if (exponent < 0) throw new DTypeError(`pow: whole numbers to the power ${exponent}: cast ${describe(x)} to f32`);
  if (exponent === 0) return sameEverywhere("pow", x.dtype === "bool" ? cast(x, "i32") : x, 1);
  let power = wholePowers.get(exponent);
  if (!power) {
    power = pointwise("pow", (x) => productOf(x!, exponent), NUMBERS);
    wholePowers.set(exponent, power);
  }
  return power(x);
}

/**
 * `x` to a fixed power, within 9 ulp. Special cases as IEEE 754 has them: `x⁰` is 1 for any `x`, 0 to a negative power is infinite, and a
 * negative base needs a whole exponent, else the result is NaN. The gradient for exponent 0 is 0. Whole numbers stay whole where the
 * exponent is a whole number from 0 on.
 * @throws DTypeError for whole numbers to a negative whole power
 */
export function pow(x: Tensor, exponent: number): Tensor {
  checkTensor("pow", "x", x);
  if (typeof exponent !== "number") throw wrongArgument("pow", "exponent", "a number", exponent);
  if (!isFloat(x.dtype)) return wholePower(x, exponent);
  // As the device sees it: above 2²⁴ every float is even.
  const p = Math.fround(exponent);
  switch (p) {
    case 0:
      return sameEverywhere("pow", x, 1);
    case 1:
      return mul(x, 1);
    case 2:
      return square(x);
    case 0.5:
      return root(x);
    case -0.5:
      return inverseRoot(x);
    case -1:
      return reciprocal(x);
  }
  return Number.isInteger(p) && p > 0 && p <= MOST_FACTORS ? product(p)(x) : anyPower(x, exponent);
}

export const eq: BinaryOp = pointwise("eq", (a, b) => E.eq(a!, b!));
export const ne: BinaryOp = pointwise("ne", (a, b) => E.ne(a!, b!));
export const lt: BinaryOp = pointwise("lt", (a, b) => E.lt(a!, b!), NUMBERS);
export const le: BinaryOp = pointwise("le", (a, b) => E.le(a!, b!), NUMBERS);
export const gt: BinaryOp = pointwise("gt", (a, b) => E.gt(a!, b!), NUMBERS);
export const ge: BinaryOp = pointwise("ge", (a, b) => E.ge(a!, b!), NUMBERS);
/** Of any types: what is not 0 counts as true, a NaN too. */
export const logicalAnd: (a: Tensor, b: Tensor) => Tensor = pointwise(
  "logicalAnd",
  (a, b) => E.and(truth(a!), truth(b!)),
  OWN,
);
export const logicalOr: (a: Tensor, b: Tensor) => Tensor = pointwise(
  "logicalOr",
  (a, b) => E.or(truth(a!), truth(b!)),
  OWN,
);
export const logicalNot: UnaryOp = pointwise("logicalNot", (x) => E.not(truth(x!)), OWN);
/** True where `x` is NaN; decided on the bits, since shader compilers may assume that there is none. */
export const isNan: UnaryOp = pointwise("isNan", (x) => (isFloat(x!.dtype) ? E.isNan(x!) : E.ne(x!, x!)), OWN);
/** True where `x` is neither NaN nor infinite. */
export const isFinite: UnaryOp = pointwise("isFinite", (x) => (isFloat(x!.dtype) ? E.isFinite(x!) : E.eq(x!, x!)), OWN);

/** `a` where `condition` (of any type) is not 0, else `b`, in the common type of these two; broadcasting. */
export const where: (condition: Tensor, a: Operand, b: Operand) => Tensor = pointwise(
  "where",
  (c, a, b) => E.select(truth(c!), a!, b!),
  { conditions: 1, names: ["condition", "a", "b"] },
);

const casts: Record<DType, UnaryOp> = {
  f32: pointwise("cast", (x) => E.cast(x!, "f32"), OWN),
  f16: pointwise("cast", (x) => E.cast(x!, "f16"), OWN),
  i32: pointwise("cast", (x) => E.cast(x!, "i32"), OWN),
  u32: pointwise("cast", (x) => E.cast(x!, "u32"), OWN),
  bool: pointwise("cast", (x) => E.cast(x!, "bool"), OWN),
};

/**
 * Another element type, by the same rules on every backend and in `device.tensor`. Floats are cut towards zero to whole numbers, what is
 * out of range becomes the nearest end, NaN 0. i32 and u32 keep their bits. To truth values everything but 0 is true, NaN too. Floats
 * round to the nearest, ties to even; what is too large for f16 becomes infinite.
 * @throws DTypeError for f16 where the adapter has none
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkTensor("cast", "x", x);
  if (x.dtype === dtype) return x;
  if (dtype === undefined) throw wrongArgument("cast", "dtype", "a dtype", dtype);
  checkDType("cast", dtype);
  if (dtype === "f16" && !x.device.info.features.includes("shader-f16")) {
    throw new DTypeError(`cast: ${x.device.info.adapter} has no f16; keep ${describe(x)}`);
  }
  return casts[dtype](x);
}

function truth(x: Expr): Expr {
  return E.cast(x, "bool");
}

function areTruths(x: Expr): boolean {
  return x.dtype === "bool";
}

provide({ add, cast });
