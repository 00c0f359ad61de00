import type { DType } from "../dtype.ts";
import { cast, type Expr, leaf, param, substitute } from "./expr.ts";

/** A tree that takes the place of a leaf, with the numbers that its own leaves and its first param get in the whole. */
export interface Part {
  readonly tree: Expr;
  readonly leaves: readonly number[];
  readonly firstParam: number;
}

const ids = new WeakMap<Expr, number>();
const composed = new WeakMap<Expr, Map<string, Expr>>();
let nextId = 1;

function idOf(tree: Expr): number {
  let id = ids.get(tree);
  if (id === undefined) {
    id = nextId++;
    ids.set(tree, id);
  }
  return id;
}

/**
 * Puts parts into the leaves of a tree. The same pieces put together the same way give the same object, so that a step of
 * steady shape builds its trees once, and what is known of a tree (its size, its kernel) can be kept beside it.
 */
export function compose(tree: Expr, parts: readonly Part[]): Expr {
  let key = "";
  for (const part of parts) key += `${idOf(part.tree)}:${part.leaves.join()}:${part.firstParam}|`;
  let known = composed.get(tree);
  if (!known) {
    known = new Map();
    composed.set(tree, known);
  }
  let whole = known.get(key);
  if (!whole) {
    // What is there twice is one object, which is computed once.
    const once = new Map<Part, Expr>();
    const placed = parts.map((part) => {
      const own =
        once.get(part) ??
        substitute(
          part.tree,
          (index, dtype) => leaf(part.leaves[index]!, dtype),
          (index, dtype) => param(part.firstParam + index, dtype),
        );
      once.set(part, own);
      return own;
    });
    whole = substitute(tree, (index, dtype) => cast(placed[index]!, dtype), param);
    known.set(key, whole);
  }
  return whole;
}

/** The tree of a stored operand: one leaf. One object for each dtype, so that `compose` knows it again. */
export const OPERAND: Readonly<Record<DType, Expr>> = {
  f32: leaf(0, "f32"),
  f16: leaf(0, "f16"),
  i32: leaf(0, "i32"),
  u32: leaf(0, "u32"),
  bool: leaf(0, "bool"),
};
