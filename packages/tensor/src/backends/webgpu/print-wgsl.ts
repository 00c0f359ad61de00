import type { DType } from "../../dtype.ts";
import { children, type Expr } from "../../expr/expr.ts";
import { CALLS, FUNCTIONS } from "./functions.ts";

/**
 * Functions that WGSL lacks or whose results differ from PyTorch's. `F`, `I`, `U` and `B` are aliases: scalars, or vectors of
 * four. Tests for NaN work on the bits, since shader compilers may assume that there is none.
 */
const PRELUDE: Readonly<Record<string, string>> = {
  isNan: "fn isNan_(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }",
  isFinite: "fn isFinite_(x: F) -> B { return (bitcast<U>(x) & U(0x7f800000u)) != U(0x7f800000u); }",
  max: "fn max_(a: F, b: F) -> F { return select(max(a, b), a + b, isNan_(a) | isNan_(b)); }",
  min: "fn min_(a: F, b: F) -> F { return select(min(a, b), a + b, isNan_(a) | isNan_(b)); }",
  // Decided on the bits: numbers that are almost 0 may count as 0 in a comparison, and a NaN as anything.
  isTrue: "fn isTrue_(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) != U(0u); }",
  ne: "fn ne_(a: F, b: F) -> B { return (a != b) | isNan_(a) | isNan_(b); }",
  // A conversion of what is out of range or NaN is the adapter's choice.
  toI: `fn toI_(x: F) -> I {
  let y = I(clamp(select(x, F(0.0), isNan_(x)), F(-2147483648.0), F(2147483520.0)));
  return select(y, I(2147483647), (x >= F(2147483648.0)) & !isNan_(x));
}`,
  toU: `fn toU_(x: F) -> U {
  let y = U(clamp(select(x, F(0.0), isNan_(x)), F(0.0), F(4294967040.0)));
  return select(y, U(4294967295u), (x >= F(4294967296.0)) & !isNan_(x));
}`,
  // To the nearest f16, ties to even; how a conversion rounds is the adapter's choice too. Below 2^-14 f16 counts in steps of 2^-24.
  toHalf: `fn toHalf_(x: F) -> F {
  let bits = bitcast<U>(x);
  let m = bits & U(0x7fffffffu);
  let near = (m + U(0xfffu) + ((m >> U(13u)) & U(1u))) & U(0xffffe000u);
  let small = bitcast<U>(round(bitcast<F>(min(m, U(0x38800000u))) * F(16777216.0)) * F(5.9604644775390625e-8));
  var y = select(near, small, m < U(0x38800000u));
  y = select(y, U(0x7f800000u), m >= U(0x477ff000u));
  y = select(y, U(0x7fc00000u), m > U(0x7f800000u));
  return bitcast<F>(y | (bits & U(0x80000000u)));
}`,
  sign: "fn sign_(x: F) -> F { return select(select(F(0.0), F(1.0), x > F(0.0)), F(-1.0), x < F(0.0)); }",
  ...FUNCTIONS,
};

/** Functions that other functions call. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  max: ["isNan"],
  min: ["isNan"],
  ne: ["isNan"],
  toI: ["isNan"],
  toU: ["isNan"],
  ...CALLS,
};
const INFIX: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
  and: "&",
  or: "|",
};

/** The alias that values of a dtype have inside a tree. */
export function aliasOf(dtype: DType): "F" | "I" | "U" | "B" {
  return dtype === "i32" ? "I" : dtype === "u32" ? "U" : dtype === "bool" ? "B" : "F";
}

/** Declares the aliases that printed trees use. */
export function aliases(width: 1 | 4): string {
  return width === 4
    ? "alias F = vec4f; alias I = vec4i; alias U = vec4u; alias B = vec4<bool>;"
    : "alias F = f32; alias I = i32; alias U = u32; alias B = bool;";
}

/** A tree as WGSL: `functions` to stand before `main`, `statements` that compute, and the name of the `result`. */
export interface Printed {
  readonly functions: string;
  readonly statements: string;
  readonly result: string;
}

/** Prints a tree. `leafValue` and `paramValue` give expressions of the alias type; equal subtrees are computed once. */
export function printWgsl(
  tree: Expr,
  leafValue: (index: number, dtype: DType) => string,
  paramValue: (index: number, dtype: DType) => string,
): Printed {
  const used = new Set<string>();
  const use = (name: string): void => {
    used.add(name);
    for (const needed of NEEDS[name] ?? []) use(needed);
  };
  const lines: string[] = [];
  const names = new Map<Expr, string>();
  const byText = new Map<string, string>();
  const bind = (text: string): string => {
    const known = byText.get(text);
    if (known) return known;
    const name = `t${byText.size}`;
    byText.set(text, name);
    lines.push(`let ${name} = ${text};`);
    return name;
  };
  const walk = (x: Expr): string => {
    const known = names.get(x);
    if (known) return known;
    const name = bind(print(x, children(x).map(walk)));
    names.set(x, name);
    return name;
  };
  const print = (x: Expr, args: readonly string[]): string => {
    switch (x.op) {
      case "leaf":
        return leafValue(x.index, x.dtype);
      case "param":
        return paramValue(x.index, x.dtype);
      case "const":
        return printConstant(x.value, x.dtype);
      case "cast":
        return printCast(args[0]!, x.a.dtype, x.dtype, call);
      case "select":
        return `select(${args[2]}, ${args[1]}, ${args[0]})`;
      case "neg":
        return `-${args[0]}`;
      case "not":
        return `!${args[0]}`;
    }
    const own = PRELUDE[x.op] !== undefined && ("a" in x ? x.a.dtype === "f32" || x.a.dtype === "f16" : false);
    if (own) return call(x.op, ...args);
    const infix = INFIX[x.op];
    return infix ? `(${args[0]} ${infix} ${args[1]})` : `${x.op}(${args.join(", ")})`;
  };
  /** A call of a function of the prelude. */
  const call = (name: string, ...args: readonly string[]): string => {
    use(name);
    return `${name}_(${args.join(", ")})`;
  };
  const result = walk(tree);
  const functions = Object.entries(PRELUDE)
    .filter(([op]) => used.has(op))
    .map(([, text]) => text)
    .join("\n");
  return { functions, statements: lines.join("\n"), result };
}

function printConstant(value: number, dtype: DType): string {
  const alias = aliasOf(dtype);
  if (alias === "B") return `B(${value !== 0})`;
  // No suffix: −2³¹ is no negated i32.
  if (alias !== "F") return `${alias}(${value}${alias === "U" ? "u" : ""})`;
  if (Number.isNaN(value) || !Number.isFinite(value)) {
    // WGSL refuses constants that are not finite; bits of a run-time value are not constants.
    const bits = Number.isNaN(value) ? "0x7fc00000u" : value > 0 ? "0x7f800000u" : "0xff800000u";
    return `bitcast<F>(U(${bits} + u.zero))`;
  }
  const text = String(Math.fround(value));
  return `F(${/[.e]/.test(text) ? text : `${text}.0`})`;
}

function printCast(
  value: string,
  from: DType,
  to: DType,
  call: (name: string, ...args: readonly string[]) => string,
): string {
  const target = aliasOf(to);
  const source = aliasOf(from);
  if (from === "bool")
    return target === "F" ? `select(F(0.0), F(1.0), ${value})` : `select(${target}(0), ${target}(1), ${value})`;
  if (source === "F" && target !== "F") return call(target === "B" ? "isTrue" : `to${target}`, value);
  if (to === "bool") return `(${value} != ${source}(0))`;
  const whole = `${target}(${value})`;
  return to === "f16" ? call("toHalf", whole) : whole;
}
