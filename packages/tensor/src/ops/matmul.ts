import { checkTensor } from "../arguments.ts";
import { noGrad, record, within } from "../autograd.ts";
import type { View } from "../backend.ts";
import { describe, ShapeError } from "../errors.ts";
import { collapse, denseLayout, expandLayout, type Layout } from "../layout.ts";
import { deviceOf, filled, launched } from "../making.ts";
import { scope } from "../scope.ts";
import { broadcastShapes, numel, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, throughF32 } from "./floats.ts";
import { add } from "./pointwise.ts";
import { reduceAxes, sumTo } from "./reduction.ts";
import { expand, narrow, permute, reshape, squeeze, transpose, unsqueeze } from "./view.ts";

/**
 * Batched matrix product with broadcasting. `a (…, m, k)`, `b (…, k, n)` → `(…, m, n)`; an argument of one axis is a row (a)
 * or a column (b), and its axis disappears. Both f32, or both f16, whose product is computed in f32.
 * @throws ShapeError when sizes do not fit; DTypeError for other types.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkTensor("matmul", "a", a);
  checkTensor("matmul", "b", b);
  if (a.dtype === "f16" && b.dtype === "f16") return throughF32("matmul", [a, b], matmul);
  if (a.rank === 1) return within("matmul", () => squeeze(matmul(unsqueeze(a, 0), b), b.rank === 1 ? 0 : -2));
  if (b.rank === 1) return within("matmul", () => squeeze(matmul(a, unsqueeze(b, 1)), -1));
  deviceOf("matmul", a, b);
  const shape = matmulShape(a, b);
  const [left, right] = [a.shape, b.shape];
  return record(
    product(a, b, shape),
    "matmul",
    [a, [b], (dy, b) => productTo(dy, transpose(b, -2, -1), left)],
    [b, [a], (dy, a) => weightGradient(a, dy, right)],
  );
}

function product(a: Tensor, b: Tensor, shape: Shape): Tensor {
  const { device } = a;
  if (numel(shape) === 0 || a.shape.at(-1) === 0) return device.zeros(shape, { label: "matmul" });
  if (partsOf(a, shape) > 1) return filled(device, shape, "f32", "matmul", (out) => inParts(a, b, out));
  return single(a, b, shape);
}

/** `aᵀ·dy`, summed over what b was broadcast along; a batch over one matrix is one longer product. */
function weightGradient(a: Tensor, dy: Tensor, shape: Shape): Tensor {
  if (shape.length === 2 && a.rank > 2) {
    return matmul(transpose(asRows(a), 0, 1), asRows(dy));
  }
  return productTo(transpose(a, -2, -1), dy, shape);
}

/** A product, summed over the axes that `shape` does not have or has as 1. */
function productTo(a: Tensor, b: Tensor, shape: Shape): Tensor {
  const one = a.rank === 3 && b.rank === 3 && a.shape[0] === b.shape[0] && numel(shape.slice(0, -2)) === 1;
  if (!one || !sumsInside(a)) return sumTo(matmul(a, b), shape);
  return reshape(productSum(a, b), shape);
}

/** Whether a product of batches `(p, m, k)` may be summed over p as it is computed: few enough additions in a row, of which there are some. */
export function sumsInside({ device, shape, size }: Tensor): boolean {
  return device.backend.epilogues === true && size > 0 && shape[0]! * shape[2]! < 2 * LONG_INNER;
}

/** `Σ aᵢ·bᵢ` of `a (p, m, k)` and `b (p, k, n)` → `(m, n)`. Records nothing. With `rowSums (m)` it is launched now, and those are the sums of a's rows. */
export function productSum(
  a: Tensor,
  b: Tensor,
  into?: { readonly product: Tensor; readonly rowSums: Tensor },
): Tensor {
  const [m, n] = [a.shape[1]!, b.shape[2]!];
  const folded = (x: Tensor): View => {
    const view = operand(x, x.shape.slice(0, 1));
    const [p, ...shape] = view.layout.shape as [number, number, number];
    const [along, ...strides] = view.layout.strides as [number, number, number];
    return { ...view, layout: { ...view.layout, shape: [p, 1, ...shape], strides: [along, 0, ...strides] } };
  };
  const [left, right] = [folded(a), folded(b)];
  const layout = denseLayout([1, 1, m, n]);
  const { backend } = a.device;
  if (into) {
    const { product, rowSums } = into;
    backend.matmul({ a: left, b: right, out: { ...product.view(), layout }, rowSums: rowSums.view() });
    return product;
  }
  return launched(a.device, {
    ...{ shape: [m, n], dtype: "f32", label: "matmul", reads: [left, right] },
    record: (out, epilogue) =>
      backend.matmul({ a: left, b: right, out: { ...out, layout }, ...(epilogue && { epilogue }) }),
  });
}

/** All leading axes joined; −1 would not do where the last one is empty. */
export function asRows(x: Tensor): Tensor {
  return x.rank === 2 ? x : reshape(x, [numel(x.shape.slice(0, -1)), x.shape.at(-1)!]);
}

function matmulShape(a: Tensor, b: Tensor): Shape {
  if (a.rank < 1 || b.rank < 1)
    throw new ShapeError(`matmul: a ${describe(a)} @ b ${describe(b)}: a scalar is no matrix`);
  checkFloats("matmul", { a, b });
  const [m, k] = a.shape.slice(-2) as [number, number];
  const [rows, n] = b.shape.slice(-2) as [number, number];
  if (k !== rows)
    throw new ShapeError(`matmul: inner sizes differ: a ${describe(a)} @ b ${describe(b)} (${k} vs ${rows})`);
  return [...broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n];
}

/** Terms that kernels add up with few additions in a row. */
const LONG_INNER = 16384;
/** Bytes that the products of the parts may take. */
const PARTS_BYTES = 2 ** 28;

/** In how many parts a product is summed: as many as its inner axis asks for and their products have room. */
function partsOf(a: Tensor, shape: Shape): number {
  return Math.min(Math.floor(a.shape.at(-1)! / LONG_INNER), Math.floor(PARTS_BYTES / (4 * numel(shape))));
}

/** A product as the sum of the products of parts of the inner axis: an error grows with the additions in a row. */
function inParts(a: Tensor, b: Tensor, out: View): void {
  const { device } = a;
  const inner = a.shape.at(-1)!;
  const count = partsOf(a, out.layout.shape);
  const length = Math.floor(inner / count);
  const rest = inner - count * length;
  noGrad(() =>
    scope(() => {
      const parts = (x: Tensor, axis: number): Tensor => {
        const at = x.rank + axis;
        const cut = narrow(x, at, 0, count * length);
        const split = reshape(cut, [...x.shape.slice(0, at), count, length, ...x.shape.slice(at + 1)]);
        // The parts come in front of a batch that both have, so that one broadcasts as before.
        const wide = reshape(split, [...new Array(out.layout.shape.length - x.rank).fill(1), ...split.shape]);
        const from = wide.rank + axis - 1;
        return permute(wide, [from, ...Array.from({ length: wide.rank }, (_, i) => i).filter((i) => i !== from)]);
      };
      const products = matmul(parts(a, -1), parts(b, -2));
      let total = reduceAxes("sum", products, [0], "f32");
      if (rest > 0) {
        total = add(total, matmul(narrow(a, -1, inner - rest, rest), narrow(b, -2, inner - rest, rest)));
      }
      device.backend.copy({ out, input: reshape(total, out.layout.shape).view("matmul") });
    }),
  );
}

/** In one launch. Folds the batch into two axes, which any two that merge far enough are; else the operands are copied in full. */
function single(a: Tensor, b: Tensor, shape: Shape): Tensor {
  const batch = shape.slice(0, -2);
  const folded = commonBatch(operand(a, batch), operand(b, batch), batch);
  if (!folded) {
    const copies = noGrad(() => [a, b].map((x) => expand(x, [...batch, ...x.shape.slice(-2)])));
    for (const copy of copies) copy.dense("matmul");
    const y = single(copies[0]!, copies[1]!, shape);
    for (const copy of copies) if (copy !== a && copy !== b) copy.dispose();
    return y;
  }
  const [left, right] = folded;
  const [outer, inner] = left.layout.shape as [number, number];
  const [m, n] = shape.slice(-2) as [number, number];
  const layout = denseLayout([outer, inner, m, n]);
  const { device } = a;
  return launched(device, {
    ...{ shape, dtype: "f32", label: "matmul", reads: [left, right] },
    record: (out, epilogue) =>
      device.backend.matmul({ a: left, b: right, out: { ...out, layout }, ...(epilogue && { epilogue }) }),
  });
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
