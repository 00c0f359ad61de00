import type { DType } from "../../dtype.ts";
import { children, type Expr } from "../../expr/expr.ts";
import type { FunctionBuilder } from "./wasm/builder.ts";
import * as M from "./wasm/math.ts";
import { F32x4, f32x4, type I32x4, i32x4 } from "./wasm/values.ts";

/** Four values of a tree: floats, whole numbers, or the masks that truth values are. */
export type Lanes = F32x4 | I32x4;

type Kind = "F" | "I" | "U" | "B";

function kindOf(dtype: DType): Kind {
  return dtype === "i32" ? "I" : dtype === "u32" ? "U" : dtype === "bool" ? "B" : "F";
}

const FLOAT_UNARY: Readonly<Record<string, (f: FunctionBuilder, x: F32x4) => F32x4>> = {
  exp: M.exp,
  log: M.log,
  sin: M.sin,
  cos: M.cos,
  tanh: M.tanh,
  sigmoid: M.sigmoid,
  erf: M.erf,
  sqrt: (_, x) => x.sqrt(),
  rsqrt: (_, x) => f32x4(1).div(x.sqrt()),
  round: (_, x) => x.nearest(),
  floor: (_, x) => x.floor(),
  ceil: (_, x) => x.ceil(),
};

/**
 * Prints a tree: the code that computes it goes into `f`, four elements at a time, shared parts once; the result is a local.
 * `leaf` and `param` give the four values of an operand or a number, masks for truth values.
 */
export function printWasm(
  f: FunctionBuilder,
  tree: Expr,
  leaf: (index: number, dtype: DType) => Lanes,
  param: (index: number, dtype: DType) => Lanes,
): Lanes {
  const done = new Map<Expr, Lanes>();
  const walk = (x: Expr): Lanes => {
    const known = done.get(x);
    if (known) return known;
    const value = print(f, x, children(x).map(walk), leaf, param);
    // Constants are locals of the function already.
    const result = x.op === "const" ? value : f.let(value);
    done.set(x, result);
    return result;
  };
  return walk(tree);
}

function print(
  f: FunctionBuilder,
  x: Expr,
  args: readonly Lanes[],
  leaf: (index: number, dtype: DType) => Lanes,
  param: (index: number, dtype: DType) => Lanes,
): Lanes {
  const [a, b, c] = args;
  switch (x.op) {
    case "leaf":
      return leaf(x.index, x.dtype);
    case "param":
      return param(x.index, x.dtype);
    case "const":
      return constantOf(x.value, x.dtype);
    case "cast":
      // Rounded here too, so that a value that passes through f16 is the same whether or not it was stored in between.
      if (x.dtype === "f16") return M.fromHalf(f, M.toHalf(f, castTo(a!, kindOf(x.a.dtype), "F") as F32x4));
      return castTo(a!, kindOf(x.a.dtype), kindOf(x.dtype));
    case "select":
      return b instanceof F32x4 ? (a as I32x4).select(b, c as F32x4) : (a as I32x4).select(b as I32x4, c as I32x4);
    case "not":
      return (a as I32x4).not();
    case "isNan":
      return a instanceof F32x4 ? a.ne(a) : i32x4(0);
    case "isFinite":
      return a instanceof F32x4 ? a.abs().lt(Number.POSITIVE_INFINITY) : i32x4(-1);
  }
  const kind = kindOf(x.a.dtype);
  if ("b" in x)
    return kind === "F"
      ? floatBinary(f, x.op, a as F32x4, b as F32x4)
      : wholeBinary(x.op, kind, a as I32x4, b as I32x4);
  return kind === "F" ? floatUnary(f, x.op, a as F32x4) : wholeUnary(x.op, a as I32x4);
}

function constantOf(value: number, dtype: DType): Lanes {
  const kind = kindOf(dtype);
  if (kind === "F") return f32x4(value);
  return i32x4(kind === "B" ? (value !== 0 ? -1 : 0) : value);
}

function castTo(x: Lanes, from: Kind, to: Kind): Lanes {
  if (from === to) return x;
  if (x instanceof F32x4) {
    if (to === "B") return x.ne(0);
    return to === "I" ? x.toI32() : x.toU32();
  }
  if (from === "B") return to === "F" ? x.and(f32x4(1).bits()).float() : x.and(1);
  if (to === "B") return x.ne(0);
  if (to === "F") return from === "I" ? x.toF32() : x.toF32U();
  return x;
}

function floatUnary(f: FunctionBuilder, op: string, x: F32x4): Lanes {
  if (op === "neg") return x.neg();
  if (op === "abs") return x.abs();
  if (op === "sign") {
    const one = f32x4(1).bits();
    return x
      .gt(0)
      .and(one)
      .or(x.lt(0).and(f32x4(-1).bits()))
      .float();
  }
  const own = FLOAT_UNARY[op];
  if (!own) throw new Error(`internal: no WASM for ${op}`);
  return own(f, x);
}

function floatBinary(f: FunctionBuilder, op: string, a: F32x4, b: F32x4): Lanes {
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "max":
    case "min":
    case "eq":
    case "ne":
    case "lt":
    case "le":
    case "gt":
    case "ge":
      return a[op](b);
    case "pow":
      return M.pow(f, a, b);
    default:
      throw new Error(`internal: no WASM for ${op} of floats`);
  }
}

/** Of signed numbers: there is nothing to do for others. */
function wholeUnary(op: string, x: I32x4): Lanes {
  switch (op) {
    case "neg":
      return x.neg();
    case "abs":
      return x.abs();
    case "sign":
      // A comparison is −1 where it holds.
      return x.ltS(0).sub(x.gtS(0));
    default:
      throw new Error(`internal: no WASM for ${op} of whole numbers`);
  }
}

function wholeBinary(op: string, kind: Kind, a: I32x4, b: I32x4): Lanes {
  const s = kind === "I";
  switch (op) {
    case "and":
      return a.and(b);
    case "or":
      return a.or(b);
    case "eq":
      return a.eq(b);
    case "ne":
      return a.ne(b);
    case "add":
    case "sub":
    case "mul":
      return a[op](b);
    case "max":
      return s ? a.maxS(b) : a.maxU(b);
    case "min":
      return s ? a.minS(b) : a.minU(b);
    case "lt":
      return s ? a.ltS(b) : a.ltU(b);
    case "le":
      return s ? a.leS(b) : a.leU(b);
    case "gt":
      return s ? a.gtS(b) : a.gtU(b);
    case "ge":
      return s ? a.geS(b) : a.geU(b);
    case "div":
      return divide(kind, a, b);
    default:
      throw new Error(`internal: no WASM for ${op} of whole numbers`);
  }
}

/** Whole division lane by lane, towards 0; by 0 it gives the dividend, as in WGSL. There is no such vector instruction. */
function divide(kind: Kind, a: I32x4, b: I32x4): I32x4 {
  let result = i32x4(0);
  for (let lane = 0; lane < 4; lane++) {
    const [n, raw] = [a.extract(lane), b.extract(lane)];
    const d = raw.eqz().select(raw.or(1), raw);
    // The one quotient that overflows, −2³¹ / −1, would trap: dividing by −1 is a negation.
    const quotient = kind === "I" ? d.eq(-1).select(n.mul(-1), n.divS(d.eq(-1).select(d.mul(-1), d))) : n.divU(d);
    result = result.replace(lane, quotient);
  }
  return result;
}
