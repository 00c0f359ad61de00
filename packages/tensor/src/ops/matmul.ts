import { noGrad, record } from "../autograd.ts";
import type { View } from "../backend.ts";
import { DTypeError, describe, ShapeError } from "../errors.ts";
import type { Expr } from "../expr/expr.ts";
import { collapse, expandLayout, type Layout } from "../layout.ts";
import { broadcastShapes, type Shape } from "../shape.ts";
import { deviceOf, empty, type Tensor } from "../tensor.ts";
import { add } from "./pointwise.ts";
import { sumTo } from "./reduction.ts";
import { expand, reshape, squeeze, transpose, unsqueeze } from "./view.ts";

/**
 * Batched matrix product with broadcasting. `a (…, m, k)`, `b (…, k, n)` → `(…, m, n)`; an argument of one axis is a row (a)
 * or a column (b), and its axis disappears.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.rank === 1) return squeeze(matmul(unsqueeze(a, 0), b), b.rank === 1 ? 0 : -2);
  if (b.rank === 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  const device = deviceOf("matmul", a, b);
  const shape = matmulShape(a, b);
  const y = empty(device, shape, "f32", "matmul");
  if (y.size > 0 && a.shape.at(-1) === 0) {
    const zero: Expr = { op: "const", value: 0, dtype: "f32" };
    device.backend.pointwise({ out: y.view(), tree: zero, leaves: [], params: [] });
  } else if (y.size > 0) launch(a, b, y);
  return record(
    y,
    "matmul",
    [a, (dy) => sumTo(matmul(dy, transpose(b, -2, -1)), a.shape)],
    [b, (dy) => weightGradient(a, dy, b.shape)],
  );
}

/** `aᵀ·dy`, summed over what b was broadcast along; a batch over one matrix is one longer product. */
function weightGradient(a: Tensor, dy: Tensor, shape: Shape): Tensor {
  if (shape.length === 2 && a.rank > 2) {
    return matmul(transpose(reshape(a, [-1, a.shape.at(-1)!]), 0, 1), reshape(dy, [-1, dy.shape.at(-1)!]));
  }
  return sumTo(matmul(transpose(a, -2, -1), dy), shape);
}

function matmulShape(a: Tensor, b: Tensor): Shape {
  if (a.rank < 1 || b.rank < 1)
    throw new ShapeError(`matmul: a ${describe(a)} @ b ${describe(b)}: a scalar is no matrix`);
  if (a.dtype !== "f32" || b.dtype !== "f32")
    throw new DTypeError(`matmul: takes f32, got a ${describe(a)} @ b ${describe(b)}`);
  const [m, k] = a.shape.slice(-2) as [number, number];
  const [rows, n] = b.shape.slice(-2) as [number, number];
  if (k !== rows)
    throw new ShapeError(`matmul: inner sizes differ: a ${describe(a)} @ b ${describe(b)} (${k} vs ${rows})`);
  return [...broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n];
}

/** Folds the batch into two axes, which any two that merge far enough are; else the operands are copied in full. */
function launch(a: Tensor, b: Tensor, y: Tensor): void {
  const batch = y.shape.slice(0, -2);
  const [m, n] = y.shape.slice(-2) as [number, number];
  const folded = commonBatch(operand(a, batch), operand(b, batch), batch);
  if (!folded) {
    const copies = noGrad(() => [a, b].map((x) => expand(x, [...batch, ...x.shape.slice(-2)])));
    for (const copy of copies) copy.dense("matmul");
    launch(copies[0]!, copies[1]!, y);
    for (const copy of copies) if (copy !== a && copy !== b) copy.dispose();
    return;
  }
  const [left, right] = folded;
  const [outer, inner] = left.layout.shape as [number, number];
  const layout: Layout = { shape: [outer, inner, m, n], strides: [inner * m * n, m * n, n, 1], offset: 0 };
  y.device.backend.matmul({ a: left, b: right, out: { ...y.view(), layout } });
}

function operand(x: Tensor, batch: Shape): View {
  const view = x.view("matmul");
  const backwards = view.layout.strides.some((stride) => stride < 0);
  const source = backwards ? x.dense("matmul") : view;
  return { ...source, layout: expandLayout(source.layout, [...batch, ...x.shape.slice(-2)]) };
}

function commonBatch(a: View, b: View, batch: Shape): readonly [View, View] | undefined {
  const axes = batch.length;
  const { shape, strides } = collapse(batch, [a.layout.strides.slice(0, axes), b.layout.strides.slice(0, axes)]);
  if (shape.length > 2) return undefined;
  const outer = shape.length === 2 ? shape[0]! : 1;
  const inner = shape.at(-1)!;
  const fold = (view: View, own: readonly number[]): View => {
    const layout: Layout = {
      shape: [outer, inner, ...view.layout.shape.slice(axes)],
      strides: [own.length === 2 ? own[0]! : 0, own.at(-1)!, ...view.layout.strides.slice(axes)],
      offset: view.layout.offset,
    };
    return { ...view, layout };
  };
  return [fold(a, strides[0]!), fold(b, strides[1]!)];
}

/** `x·weightᵀ + bias`: `x (…, in)`, `weight (out, in)`, `bias (out)` → `(…, out)`. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (weight.rank !== 2 || x.shape.at(-1) !== weight.shape[1]) {
    throw new ShapeError(
      `linear: x ${describe(x)} does not fit weight ${describe(weight)} (${x.shape.at(-1)} vs ${weight.shape[1]})`,
    );
  }
  // All leading axes are rows of one matrix: one product instead of a batch of them.
  const rows = x.rank === 2 ? x : reshape(x, [-1, x.shape.at(-1)!]);
  // The weight's gradient in the weight's own order: that of a product with its transpose would have to be turned round.
  const y = record(
    noGrad(() => matmul(rows, transpose(weight, 0, 1))),
    "linear",
    [rows, (dy) => matmul(dy, weight)],
    [weight, (dy) => matmul(transpose(dy, 0, 1), rows)],
  );
  const shaped = x.rank === 2 ? y : reshape(y, [...x.shape.slice(0, -1), weight.shape[0]!]);
  return bias ? add(shaped, bias) : shaped;
}
