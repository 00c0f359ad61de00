import type { Reduction } from "../backend.ts";
import { type DType, isFloat } from "../dtype.ts";
import type { Expr } from "../expr/expr.ts";
import * as E from "../expr/expr.ts";
import { collapse, denseLayout, expandLayout, isDense } from "../layout.ts";
import { filled, launched, viewAs } from "../making.ts";
import { numel, type Shape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Sizes after a reduction, with the reduced axes kept as 1. */
export function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}

/** Reduces the axes that lie side by side in one launch each; the result keeps them as axes of size 1. */
export function reduceAxes(kind: Reduction, x: Tensor, axes: readonly number[], dtype: DType): Tensor {
  const repeated = x.view(kind).layout.strides.map((stride, axis) => stride === 0 && x.shape[axis]! > 1);
  if (repeated.includes(true) && x.size > 0) return reduceRepeated(kind, x, axes, dtype, repeated);
  // A sum over an axis of one element is nothing to do.
  const long = kind === "sum" && x.size > 0 ? axes.filter((axis) => x.shape[axis] !== 1) : axes;
  const both = kind === "sum" && x.size > 0 && x.device.backend.epilogues ? sumOfBoth(x, long, dtype) : undefined;
  if (both) return both;
  let result = x;
  for (const run of runsOf(long.length > 0 ? long : axes)) {
    const first = run[0]!;
    const last = run.at(-1)!;
    const shape = [
      numel(result.shape.slice(0, first)),
      numel(result.shape.slice(first, last + 1)),
      numel(result.shape.slice(last + 1)),
    ];
    const view = result.view(kind);
    const layout = groupStrides(view.layout.strides, result.shape, [0, first, last + 1, result.rank]);
    const input = layout
      ? { ...view, layout: { shape, strides: layout, offset: view.layout.offset } }
      : { ...result.dense(kind), layout: { shape, strides: [shape[1]! * shape[2]!, shape[2]!, 1], offset: 0 } };
    const { backend } = x.device;
    const kept = keptShape(result.shape, run);
    if (numel(kept) === 0 || shape[1] === 0) {
      result = x.device.zeros(kept, { dtype, label: kind });
    } else if (isPosition(kind)) {
      result = filled(x.device, kept, dtype, kind, (out) => backend.reduce({ kind, input, out }));
    } else {
      result = launched(x.device, {
        ...{ shape: kept, dtype, label: kind, reads: [input] },
        record: (out, epilogue) => backend.reduce({ kind, input, out, ...(epilogue && { epilogue }) }),
      });
    }
  }
  return result;
}

/** A sum over the first axes and over others, which do not lie side by side, in one launch; undefined where that is not what is asked for. */
function sumOfBoth(x: Tensor, axes: readonly number[], dtype: DType): Tensor | undefined {
  const [last, first, ...rest] = runsOf(axes);
  if (!first || !last || rest.length > 0 || first[0] !== 0) return undefined;
  const view = x.view("sum");
  const { shape } = view.layout;
  const ends = [0, first.length, last[0]!, last.at(-1)! + 1, shape.length];
  const strides = groupStrides(view.layout.strides, shape, ends);
  if (!strides) return undefined;
  const sizes = ends.slice(1).map((end, i) => numel(shape.slice(ends[i]!, end)));
  const input = { ...view, layout: { shape: sizes, strides, offset: view.layout.offset } };
  return launched(x.device, {
    ...{ shape: keptShape(shape, axes), dtype, label: "sum", reads: [input] },
    record: (out, epilogue) => x.device.backend.reduce({ kind: "sum", input, out, ...(epilogue && { epilogue }) }),
  });
}

function isPosition(kind: Reduction): boolean {
  return kind === "argmax" || kind === "argmin";
}

/**
 * The same where some axes repeat one value, which is taken once: a sum over n of them is n times the value, however large n is, and
 * the others do not depend on n.
 */
function reduceRepeated(
  kind: Reduction,
  x: Tensor,
  axes: readonly number[],
  dtype: DType,
  repeated: readonly boolean[],
): Tensor {
  const { device, shape } = x;
  const { layout } = x.view(kind);
  const once = viewAs(x, { ...layout, shape: shape.map((size, axis) => (repeated[axis] ? 1 : size)) }, kind);
  const single = reduceAxes(kind, once, axes, dtype);
  const times = kind === "sum" ? numel(axes.map((axis) => (repeated[axis] ? shape[axis]! : 1))) : 1;
  const { tree, params } = multiplied(dtype, times);
  const result = filled(device, keptShape(shape, axes), dtype, kind, (out) => {
    const view = single.view();
    const leaves = [{ ...view, layout: expandLayout(view.layout, out.layout.shape) }];
    device.backend.pointwise({ out, tree, leaves, params });
  });
  if (single !== once) single.dispose();
  once.dispose();
  return result;
}

/** A value times a whole number, in two halves where f32 does not hold all of its digits: whole numbers wrap around. */
function multiplied(dtype: DType, times: number): { readonly tree: Expr; readonly params: readonly number[] } {
  const x = E.leaf(0, dtype);
  if (times === 1) return { tree: x, params: [] };
  if (isFloat(dtype)) return { tree: E.mul(x, E.param(0, dtype)), params: [times] };
  const [high, half, low] = [0, 1, 2].map((i) => E.param(i, dtype)) as [Expr, Expr, Expr];
  const wrapped = times % 2 ** 32;
  return {
    tree: E.mul(x, E.add(E.mul(high, half), low)),
    params: [Math.floor(wrapped / 65536), 65536, wrapped % 65536],
  };
}

/** Strides of groups of axes, between each end and the next, where each can be walked with one stride, without flips. */
function groupStrides(strides: readonly number[], shape: Shape, ends: readonly number[]): number[] | undefined {
  const groups = ends.slice(1).map((end, i) => {
    const part = collapse(shape.slice(ends[i]!, end), [strides.slice(ends[i]!, end)]);
    return part.shape.length === 1 && part.strides[0]![0]! >= 0 ? part.strides[0]![0]! : undefined;
  });
  return groups.every((stride) => stride !== undefined) ? (groups as number[]) : undefined;
}

/** Sorted axes cut into runs of neighbours, the innermost run first. */
function runsOf(axes: readonly number[]): number[][] {
  const runs: number[][] = [];
  for (const axis of axes) {
    const run = runs.at(-1);
    if (run && run.at(-1) === axis - 1) run.push(axis);
    else runs.push([axis]);
  }
  return runs.reverse();
}

/** Sums a gradient, which is f32, down to the shape that was broadcast. Records nothing. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const added = x.rank - shape.length;
  const axes = x.shape.flatMap((size, axis) =>
    axis < added || (shape[axis - added] === 1 && size !== 1) ? [axis] : [],
  );
  const sums = axes.length > 0 ? reduceAxes("sum", x, axes, x.dtype) : x;
  // What is dense may be on its way yet.
  if (!isDense(sums.lazy("sumTo").layout)) sums.dense("sumTo");
  return viewAs(sums, { ...denseLayout(shape), offset: sums.lazy("sumTo").layout.offset }, "sumTo");
}
