import { provide } from "../autograd.ts";
import { type DType, isFloat } from "../dtype.ts";
import { DTypeError, describe } from "../errors.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import type { Tensor } from "../tensor.ts";
import { type Operand, pointwise, sameEverywhere } from "./formula.ts";

type UnaryOp = (x: Tensor) => Tensor;
type BinaryOp = (a: Operand, b: Operand) => Tensor;

/** `a + b`, broadcasting. */
export const add: BinaryOp = pointwise("add", (a, b) => E.add(a!, b!));
/** `a − b`, broadcasting. */
export const sub: BinaryOp = pointwise("sub", (a, b) => E.sub(a!, b!));
/** `a · b`, elementwise, broadcasting. */
export const mul: BinaryOp = pointwise("mul", (a, b) => E.mul(a!, b!));
/** `a / b`, broadcasting; whole numbers divide to f32. Within 2.5 ulp, as `reciprocal`. */
export const div: BinaryOp = pointwise("div", (a, b) => E.div(real(a!), real(b!)));
/** The larger of two, NaN if either is; at a tie each side gets half of the gradient. */
export const maximum: BinaryOp = pointwise("maximum", (a, b) => E.max(a!, b!));
/** The smaller of two, NaN if either is; at a tie each side gets half of the gradient. */
export const minimum: BinaryOp = pointwise("minimum", (a, b) => E.min(a!, b!));

export const neg: UnaryOp = pointwise("neg", (x) => E.neg(x!));
/** `|x|`; the gradient at 0 is 0. */
export const abs: UnaryOp = pointwise("abs", (x) => E.abs(x!));
/** `eˣ`, within 4 ulp; WebGPU may give 0 for subnormal results. */
export const exp: UnaryOp = pointwise("exp", (x) => E.exp(x!));
/** Natural logarithm, within 4 ulp; of 0 −∞, of negative numbers NaN. */
export const log: UnaryOp = pointwise("log", (x) => E.log(x!));
/** `√x`, within 4.5 ulp (WGSL's bound; the software adapters and the CPU round right); of negative numbers NaN. */
export const sqrt: UnaryOp = pointwise("sqrt", (x) => E.sqrt(x!));
/** `1/√x`, within 2 ulp; of 0 infinite, of negative numbers NaN. */
export const rsqrt: UnaryOp = pointwise("rsqrt", (x) => E.rsqrt(x!));
export const square: UnaryOp = pointwise("square", (x) => E.mul(x!, x!));
/** `1/x`, within 2.5 ulp (WGSL's bound; the software adapters and the CPU round right). */
export const reciprocal: UnaryOp = pointwise("reciprocal", (x) => E.div(1, x!));
/** Sine of radians, however many: within 4 ulp, or 2⁻²⁴ where that is more. */
export const sin: UnaryOp = pointwise("sin", (x) => E.sin(x!));
/** Cosine of radians, however many: within 4 ulp, or 2⁻²⁴ where that is more. */
export const cos: UnaryOp = pointwise("cos", (x) => E.cos(x!));
/** The error function `2/√π ∫₀ˣ exp(−t²) dt`, within 4 ulp. */
export const erf: UnaryOp = pointwise("erf", (x) => E.erf(x!));
/** To the nearest whole number, ties to even; the gradient is 0. */
export const round: UnaryOp = pointwise("round", (x) => E.round(x!));
export const floor: UnaryOp = pointwise("floor", (x) => E.floor(x!));
export const ceil: UnaryOp = pointwise("ceil", (x) => E.ceil(x!));
/** −1, 0 or 1. */
export const sign: UnaryOp = pointwise("sign", (x) => E.sign(x!));

const anyPower: (x: Tensor, exponent: number) => Tensor = pointwise("pow", (x, p) => E.pow(x!, p!), {
  derivatives: (x, p) => [E.mul(p!, E.pow(x!, E.sub(p!, 1))), E.constant(0)],
});
const cube: UnaryOp = pointwise("pow", (x) => E.mul(x!, E.mul(x!, x!)));
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

/**
 * `x` to a fixed power, within 8 ulp. Special cases as IEEE 754 has them: `x⁰` is 1 for any `x`, 0 to a negative power is infinite, and a
 * negative base needs a whole exponent, else the result is NaN. The gradient for exponent 0 is 0.
 */
export function pow(x: Tensor, exponent: number): Tensor {
  // As the device sees it: above 2²⁴ every float is even.
  switch (isFloat(x.dtype) ? Math.fround(exponent) : exponent) {
    case 0:
      return sameEverywhere("pow", x, 1);
    case 1:
      return mul(x, 1);
    case 2:
      return square(x);
    case 3:
      return cube(x);
    case 0.5:
      return root(x);
    case -0.5:
      return inverseRoot(x);
    case -1:
      return reciprocal(x);
  }
  return anyPower(x, exponent);
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
