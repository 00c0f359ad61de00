/** How a launch ends in a tree: what is known of that before its numbers are. */
import type { Epilogue, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import { type Expr, keyOf } from "../../../expr/expr.ts";
import { type Collapsed, collapse } from "../../../layout.ts";
import { denseStrides, sameShape } from "../../../shape.ts";
import { unrolled } from "./wgsl.ts";

/** How an operand is read or written: at the index itself, as one value for all, through its strides; or it is the output before it is written. */
export type Access = "dense" | "scalar" | "strided" | "out";

export interface Operand {
  readonly dtype: DType;
  readonly access: Access;
  /** Strided, but the same for four neighbours. */
  readonly splat: boolean;
}

/** What follows from a tree and how its operands lie, which a program asks for at every step. */
export interface Plan {
  readonly width: 1 | 4;
  readonly outAccess: Access;
  readonly operands: readonly Operand[];
  /** Axes that code is written for. */
  readonly rank: number;
  readonly key: string;
  /** Uniforms but for the numbers of the tree. */
  readonly values: Readonly<Record<string, number | readonly number[]>>;
}

/** What a plan was made for. */
interface Known extends Plan {
  readonly wide: boolean;
  readonly product: number;
  readonly lot: boolean;
  readonly out: Pick<View, "layout" | "dtype">;
  readonly leaves: readonly (Pick<View, "layout" | "dtype"> & { readonly isOut: boolean })[];
}

const plans = new WeakMap<Expr, Known[]>();
/** Plans of a tree that are kept; beyond, all are made anew. */
const MOST_PLANS = 64;

export function planOf(call: Epilogue, wide: boolean): Plan {
  let known = plans.get(call.tree);
  if (!known) {
    known = [];
    plans.set(call.tree, known);
  }
  let plan = known.find((each) => isFor(each, call, wide));
  if (!plan) {
    const { out, leaves, product } = call;
    plan = {
      ...newPlan(call, wide),
      wide,
      product,
      lot: out.storage.lot !== undefined,
      out: { layout: out.layout, dtype: out.dtype },
      leaves: leaves.map(({ layout, dtype, storage }, i) => ({
        layout,
        dtype,
        isOut: i !== product && storage === out.storage,
      })),
    };
    if (known.length >= MOST_PLANS) known.length = 0;
    known.push(plan);
  }
  return plan;
}

function isFor(known: Known, { out, leaves, product }: Epilogue, wide: boolean): boolean {
  if (known.wide !== wide || known.product !== product || known.lot !== (out.storage.lot !== undefined)) return false;
  if (known.leaves.length !== leaves.length || known.out.dtype !== out.dtype || !liesAs(known.out, out)) return false;
  for (let i = 0; i < leaves.length; i++) {
    const [before, now] = [known.leaves[i]!, leaves[i]!];
    if (before.dtype !== now.dtype || before.isOut !== (i !== product && now.storage === out.storage)) return false;
    if (!liesAs(before, now)) return false;
  }
  return true;
}

function liesAs({ layout: a }: Pick<View, "layout">, { layout: b }: View): boolean {
  return a === b || (a.offset === b.offset && sameShape(a.shape, b.shape) && sameShape(a.strides, b.strides));
}

function newPlan({ out, tree, leaves, params, product }: Epilogue, wide: boolean): Plan {
  const layouts = leaves.map(({ layout }, i) => (i === product ? undefined : layout.strides));
  const { strides } = out.layout;
  const dense = denseStrides(out.layout.shape);
  // The index itself comes first, so that nothing is joined across which that is not one.
  const collapsed = collapse(out.layout.shape, [dense, strides, ...layouts.map((own) => own ?? dense)]);
  const access = leaves.map(({ storage }, i) =>
    i !== product && storage === out.storage ? "out" : accessOf(collapsed, i + 2),
  );
  const outAccess = accessOf(collapsed, 1) === "dense" ? "dense" : "strided";
  const width = wide && canVectorise(collapsed, [out, ...leaves], [outAccess, ...access]) ? 4 : 1;
  const operands = leaves.map(({ dtype }, i) => ({
    dtype,
    access: access[i]!,
    splat: access[i] === "strided" && collapsed.strides[i + 2]!.at(-1) === 0,
  }));
  const strided = outAccess === "strided" || access.includes("strided");
  // Operands without strides need no coordinates, whatever the rank: one variant serves them all.
  const rank = strided ? unrolled(collapsed.shape.length) : 1;
  const kinds = operands.map((o) => `${o.dtype}${o.access[1]}${o.splat ? "s" : ""}`).join();
  const key = `${treeKey(tree)}/${kinds}/${width}/${rank}/${out.dtype}${outAccess[1]}/${params.length}/${product}`;
  // A kernel of two axes serves one as well.
  const flat = rank === 2 && collapsed.shape.length === 1;
  const values = {
    zero: 0,
    ...(rank > 1 && {
      rank: collapsed.shape.length,
      shape: flat ? [1, ...collapsed.shape] : collapsed.shape,
      strides: collapsed.strides.slice(1).flatMap((own) => eight(flat ? [0, ...own] : own)),
    }),
    offsets: [out.layout.offset, ...leaves.map(({ layout }) => layout.offset)],
  };
  return { width, outAccess, operands, rank, key, values };
}

const keys = new WeakMap<Expr, string>();

function treeKey(tree: Expr): string {
  let key = keys.get(tree);
  if (key === undefined) {
    key = keyOf(tree);
    keys.set(tree, key);
  }
  return key;
}

function eight(strides: readonly number[]): number[] {
  return Array.from({ length: 8 }, (_, axis) => strides[axis] ?? 0);
}

function accessOf(collapsed: Collapsed, index: number): Access {
  const strides = collapsed.strides[index]!;
  const own = collapsed.strides[0]!;
  if (strides.every((stride, axis) => stride === own[axis])) return "dense";
  return strides.every((stride) => stride === 0) ? "scalar" : "strided";
}

/** Four neighbours at a time, when every operand offers its four side by side or has one value for them. */
function canVectorise(collapsed: Collapsed, operands: readonly View[], access: readonly Access[]): boolean {
  const last = collapsed.shape.length - 1;
  const anyStrided = access.includes("strided");
  // Behind a piece of a lot lie zeros, which are no room for the rest of a vector.
  if (operands[0]!.storage.lot && collapsed.shape.reduce((a, b) => a * b, 1) % 4 !== 0) return false;
  if (anyStrided && collapsed.shape[last]! % 4 !== 0) return false;
  return operands.every((view, i) => {
    if (access[i] === "scalar" || access[i] === "out") return true;
    const aligned = view.layout.offset % 4 === 0;
    if (access[i] === "dense") return aligned;
    const strides = collapsed.strides[i + 1]!;
    // What is written has no one value for four.
    if (strides[last] === 0 && i > 0) return true;
    return aligned && strides[last] === 1 && strides.slice(0, -1).every((stride) => stride % 4 === 0);
  });
}
