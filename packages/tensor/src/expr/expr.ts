import type { DType } from "../dtype.ts";

/** Functions of one argument that a tree may hold. */
export type Unary =
  | "neg"
  | "abs"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "erf"
  | "round"
  | "floor"
  | "ceil"
  | "sign"
  | "not"
  | "isNan"
  | "isFinite";

/** Functions of two arguments. `pow` is IEEE 754's. */
export type Binary =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "max"
  | "min"
  | "pow"
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  | "and"
  | "or";

/**
 * Pointwise mathematics as a tree. Arithmetic and comparisons take two of one type, functions such as `exp` take floats (see `mistyped`);
 * a value of f16 is computed with as f32, and a cast to f16 rounds it. A leaf is an operand, a param a number that changes from call to call (it travels as a
 * uniform), a constant belongs to the formula. Nodes are immutable and may be shared; shared ones are computed once.
 */
export type Expr =
  | { readonly op: "leaf"; readonly index: number; readonly dtype: DType }
  | { readonly op: "param"; readonly index: number; readonly dtype: DType }
  | { readonly op: "const"; readonly value: number; readonly dtype: DType }
  | { readonly op: Unary; readonly a: Expr; readonly dtype: DType }
  | { readonly op: Binary; readonly a: Expr; readonly b: Expr; readonly dtype: DType }
  | { readonly op: "select"; readonly c: Expr; readonly a: Expr; readonly b: Expr; readonly dtype: DType }
  | { readonly op: "cast"; readonly a: Expr; readonly dtype: DType };

/** What builders take: a tree or a number that is part of the formula. */
export type Term = Expr | number;

const COMPARISONS: ReadonlySet<string> = new Set(["eq", "ne", "lt", "le", "gt", "ge", "and", "or"]);

export function leaf(index: number, dtype: DType = "f32"): Expr {
  return { op: "leaf", index, dtype };
}

export function param(index: number, dtype: DType = "f32"): Expr {
  return { op: "param", index, dtype };
}

export function constant(value: number, dtype: DType = "f32"): Expr {
  return { op: "const", value, dtype };
}

function unary(op: Unary, x: Term): Expr {
  const a = typeof x === "number" ? constant(x) : x;
  return { op, a, dtype: op === "not" || op === "isNan" || op === "isFinite" ? "bool" : a.dtype };
}

function binary(op: Binary, x: Term, y: Term): Expr {
  const dtype = typeof x !== "number" ? x.dtype : typeof y !== "number" ? y.dtype : "f32";
  const a = typeof x === "number" ? constant(x, dtype) : x;
  const b = typeof y === "number" ? constant(y, dtype) : y;
  return { op, a, b, dtype: COMPARISONS.has(op) ? "bool" : dtype };
}

function isConst(x: Term, value: number): boolean {
  return typeof x === "number" ? x === value : x.op === "const" && x.value === value;
}

function asExpr(x: Term, like: Term): Expr {
  return typeof x === "number" ? constant(x, typeof like === "number" ? "f32" : like.dtype) : x;
}

// Builders. Those that drop neutral elements keep derivatives short; they see constants only, never values.
export const add = (x: Term, y: Term): Expr =>
  isConst(x, 0) ? asExpr(y, x) : isConst(y, 0) ? asExpr(x, y) : binary("add", x, y);
export const sub = (x: Term, y: Term): Expr =>
  isConst(y, 0) ? asExpr(x, y) : isConst(x, 0) ? neg(y) : binary("sub", x, y);
export const mul = (x: Term, y: Term): Expr => {
  if (isConst(x, 0) || isConst(y, 1)) return asExpr(x, y);
  if (isConst(y, 0) || isConst(x, 1)) return asExpr(y, x);
  return binary("mul", x, y);
};
export const div = (x: Term, y: Term): Expr => (isConst(x, 0) || isConst(y, 1) ? asExpr(x, y) : binary("div", x, y));
export const max = (x: Term, y: Term): Expr => binary("max", x, y);
export const min = (x: Term, y: Term): Expr => binary("min", x, y);
export const pow = (x: Term, y: Term): Expr => binary("pow", x, y);
export const eq = (x: Term, y: Term): Expr => binary("eq", x, y);
export const ne = (x: Term, y: Term): Expr => binary("ne", x, y);
export const lt = (x: Term, y: Term): Expr => binary("lt", x, y);
export const le = (x: Term, y: Term): Expr => binary("le", x, y);
export const gt = (x: Term, y: Term): Expr => binary("gt", x, y);
export const ge = (x: Term, y: Term): Expr => binary("ge", x, y);
export const and = (x: Term, y: Term): Expr => binary("and", x, y);
export const or = (x: Term, y: Term): Expr => binary("or", x, y);

export const neg = (x: Term): Expr => (isConst(x, 0) ? asExpr(x, x) : unary("neg", x));
export const abs = (x: Term): Expr => unary("abs", x);
export const exp = (x: Term): Expr => unary("exp", x);
export const log = (x: Term): Expr => unary("log", x);
export const sqrt = (x: Term): Expr => unary("sqrt", x);
export const rsqrt = (x: Term): Expr => unary("rsqrt", x);
export const sin = (x: Term): Expr => unary("sin", x);
export const cos = (x: Term): Expr => unary("cos", x);
export const tanh = (x: Term): Expr => unary("tanh", x);
export const sigmoid = (x: Term): Expr => unary("sigmoid", x);
export const erf = (x: Term): Expr => unary("erf", x);
export const round = (x: Term): Expr => unary("round", x);
export const floor = (x: Term): Expr => unary("floor", x);
export const ceil = (x: Term): Expr => unary("ceil", x);
export const sign = (x: Term): Expr => unary("sign", x);
export const not = (x: Term): Expr => unary("not", x);
export const isNan = (x: Term): Expr => unary("isNan", x);
export const isFinite = (x: Term): Expr => unary("isFinite", x);

/** `c ? a : b`, elementwise; `c` is a comparison or a bool operand. */
export function select(c: Expr, x: Term, y: Term): Expr {
  const a = asExpr(x, y);
  const b = asExpr(y, x);
  return a === b ? a : { op: "select", c, a, b, dtype: a.dtype };
}

export function cast(x: Expr, dtype: DType): Expr {
  return x.dtype === dtype ? x : { op: "cast", a: x, dtype };
}

/** The direct parts of a node, in order. */
export function children(x: Expr): readonly Expr[] {
  switch (x.op) {
    case "leaf":
    case "param":
    case "const":
      return [];
    case "select":
      return [x.c, x.a, x.b];
    default:
      return "b" in x ? [x.a, x.b] : [x.a];
  }
}

/** Rebuilds a tree with every leaf and param replaced. Shared parts stay shared. */
export function substitute(
  tree: Expr,
  leafFor: (index: number, dtype: DType) => Expr,
  paramFor: (index: number, dtype: DType) => Expr,
): Expr {
  const done = new Map<Expr, Expr>();
  const walk = (x: Expr): Expr => {
    const known = done.get(x);
    if (known) return known;
    let y: Expr;
    if (x.op === "leaf") y = leafFor(x.index, x.dtype);
    else if (x.op === "param") y = paramFor(x.index, x.dtype);
    else if (x.op === "const") y = x;
    else if (x.op === "select") y = { ...x, c: walk(x.c), a: walk(x.a), b: walk(x.b) };
    else if ("b" in x) y = { ...x, a: walk(x.a), b: walk(x.b) };
    else y = { ...x, a: walk(x.a) };
    done.set(x, y);
    return y;
  };
  return walk(tree);
}

/** What the numbers of a tree are, by their places: leaves in the first list, params in the second. Kept beside the tree. */
export interface Signature {
  readonly leaves: readonly (DType | undefined)[];
  readonly params: readonly (DType | undefined)[];
}

const signatures = new WeakMap<Expr, Signature>();

/** @throws Error, internal, for a node whose parts are not of the types that it takes */
export function signatureOf(tree: Expr): Signature {
  const known = signatures.get(tree);
  if (known) return known;
  const leaves: DType[] = [];
  const params: DType[] = [];
  const seen = new Set<Expr>();
  const walk = (x: Expr): void => {
    if (seen.has(x)) return;
    seen.add(x);
    if (x.op === "leaf" || x.op === "param") {
      const places = x.op === "leaf" ? leaves : params;
      if ((places[x.index] ?? x.dtype) !== x.dtype) {
        throw new Error(`internal: ${x.op} ${x.index} is both ${places[x.index]} and ${x.dtype}`);
      }
      places[x.index] = x.dtype;
    }
    for (const child of children(x)) walk(child);
  };
  const wrong = mistyped(tree);
  if (wrong) throw new Error(`internal: ${wrong}`);
  walk(tree);
  const signature = { leaves, params };
  signatures.set(tree, signature);
  return signature;
}

const ARITHMETIC: ReadonlySet<string> = new Set(["add", "sub", "mul", "div", "max", "min", "lt", "le", "gt", "ge"]);

/** Says which node of a tree has parts of types that it does not take; undefined where all is well. */
export function mistyped(tree: Expr): string | undefined {
  const seen = new Set<Expr>();
  const walk = (x: Expr): string | undefined => {
    if (seen.has(x)) return undefined;
    seen.add(x);
    for (const child of children(x)) {
      const wrong = walk(child);
      if (wrong) return wrong;
    }
    return takes(x)
      ? undefined
      : `${x.op} of ${children(x)
          .map((part) => part.dtype)
          .join(" and ")}`;
  };
  return walk(tree);
}

function takes(x: Expr): boolean {
  const float = ({ dtype }: Expr): boolean => dtype === "f32" || dtype === "f16";
  // Floats are all f32 inside of a tree.
  const alike = (a: Expr, b: Expr): boolean => a.dtype === b.dtype || (float(a) && float(b));
  switch (x.op) {
    case "leaf":
    case "param":
    case "const":
    case "cast":
      return true;
    case "neg":
    case "abs":
    case "sign":
      return float(x.a) || x.a.dtype === "i32";
    case "not":
      return x.a.dtype === "bool";
    case "and":
    case "or":
      return x.a.dtype === "bool" && x.b.dtype === "bool";
    case "eq":
    case "ne":
      return alike(x.a, x.b);
    case "select":
      return x.c.dtype === "bool" && alike(x.a, x.b);
    case "pow":
      return float(x.a) && float(x.b);
    default:
      if ("b" in x) return ARITHMETIC.has(x.op) && alike(x.a, x.b) && x.a.dtype !== "bool";
      return float(x.a);
  }
}

const COSTLY: ReadonlySet<string> = new Set([
  "exp",
  "log",
  "sin",
  "cos",
  "tanh",
  "sigmoid",
  "erf",
  "pow",
  "div",
  "sqrt",
]);

const sizes = new WeakMap<Expr, { readonly nodes: number; readonly weight: number }>();

/** Distinct nodes, and a weight in which a transcendental function counts as six additions. Kept beside the tree. */
export function measure(tree: Expr): { readonly nodes: number; readonly weight: number } {
  const known = sizes.get(tree);
  if (known) return known;
  const seen = new Set<Expr>();
  let weight = 0;
  const walk = (x: Expr): void => {
    if (seen.has(x)) return;
    seen.add(x);
    weight += COSTLY.has(x.op) ? 6 : 1;
    for (const child of children(x)) walk(child);
  };
  walk(tree);
  const size = { nodes: seen.size, weight };
  sizes.set(tree, size);
  return size;
}

/** A text that is equal for trees that compute the same thing the same way: the key of a compiled kernel. */
export function keyOf(tree: Expr): string {
  const names = new Map<Expr, number>();
  const parts: string[] = [];
  const walk = (x: Expr): number => {
    const known = names.get(x);
    if (known !== undefined) return known;
    let text: string;
    if (x.op === "leaf" || x.op === "param") text = `${x.op[0]}${x.index}${x.dtype}`;
    else if (x.op === "const") text = `${x.value}${x.dtype}`;
    else if (x.op === "cast") text = `${x.dtype}(${walk(x.a)})`;
    else text = `${x.op}(${children(x).map(walk).join()})`;
    const name = names.size;
    names.set(x, name);
    parts.push(text);
    return name;
  };
  walk(tree);
  return parts.join(";");
}
