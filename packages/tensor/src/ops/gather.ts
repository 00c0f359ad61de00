import { checkTensor } from "../arguments.ts";
import { composed, record } from "../autograd.ts";
import { DTypeError, describe, ShapeError } from "../errors.ts";
import { checkLater } from "../index-check.ts";
import { deviceOf, filled } from "../making.ts";
import { keep } from "../scope.ts";
import { normalizeDim, numel, type Shape } from "../shape.ts";
import { type Device, naming, type Tensor } from "../tensor.ts";
import type { Value } from "../value.ts";
import { cast } from "./pointwise.ts";
import { expand, reshape, slice, squeeze } from "./view.ts";

/** Which positions of an index name each row: those of row r are `order[start[r]] … order[start[r + 1] − 1]`, ascending. */
interface Plan {
  readonly start: Tensor;
  readonly order: Tensor;
}

/** Both belong to the numbers, not to a tensor: one that is assigned anew has other numbers. */
const extents = new WeakMap<Value, readonly [smallest: number, largest: number]>();
const plans = new WeakMap<Value, Map<number, Plan>>();

/**
 * Checks the dtype of an index and that its numbers name rows: now where they are known on the host, else by the device, which tells with
 * the next read and puts NaN into such rows meanwhile.
 */
function checkIndex(caller: string, x: Tensor, index: Tensor, rows: number): void {
  const op = naming.op ?? caller;
  if (index.dtype !== "i32" && index.dtype !== "u32") {
    throw new DTypeError(`${op}: index ${describe(index)} must be i32 or u32; cast it`);
  }
  const value = index.value(op);
  if (value.below <= rows || index.size === 0) return;
  const positions = `x ${describe(x)} has positions 0 to ${rows - 1}`;
  if (!value.host) {
    const what = `${op}: index ${describe(index)} (made by \`${index.label}\`)`;
    checkLater(
      index.device.backend,
      value.dense(),
      index.size,
      rows,
      (wrong) => `${what} holds ${wrong}, ${positions}`,
    );
    value.below = rows;
    return;
  }
  let extent = extents.get(value);
  if (!extent) {
    let [smallest, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const row of value.host) {
      if (row < smallest) smallest = row;
      if (row > largest) largest = row;
    }
    extent = [smallest, largest];
    extents.set(value, extent);
  }
  const wrong = extent[0] < 0 ? extent[0] : extent[1] >= rows ? extent[1] : undefined;
  if (wrong !== undefined) {
    throw new ShapeError(`${op}: index ${describe(index)} holds ${wrong}, ${positions}`);
  }
  value.below = rows;
}

/** A counting sort, done once for the numbers of an index and a number of rows; it stays on the device as long as they do. */
function planOf(device: Device, value: Value, host: Int32Array | Uint32Array, rows: number): Plan {
  let known = plans.get(value);
  if (!known) {
    const made = new Map<number, Plan>();
    value.whenReleased(() => {
      for (const { start, order } of made.values()) {
        start.dispose();
        order.dispose();
      }
    });
    plans.set(value, made);
    known = made;
  }
  let plan = known.get(rows);
  if (!plan) {
    const start = new Int32Array(rows + 1);
    for (const row of host) start[row + 1]!++;
    for (let row = 0; row < rows; row++) start[row + 1]! += start[row]!;
    const next = start.slice();
    const order = new Int32Array(host.length);
    host.forEach((row, position) => {
      order[next[row]!++] = position;
    });
    plan = { start: keep(device.tensor(start)), order: keep(device.tensor(order)) };
    known.set(rows, plan);
  }
  return plan;
}

/** `x (outer, rows, inner)` at the rows of a flat index. The gradient adds up what went to one row, in a fixed order. */
function takeRows(op: string, x: Tensor, axis: number, index: Tensor, shape: Shape): Tensor {
  const { backend } = deviceOf(op, x, index);
  const rows = x.shape[axis]!;
  checkIndex(op, x, index, rows);
  const outer = numel(x.shape.slice(0, axis));
  const inner = numel(x.shape.slice(axis + 1));
  const count = index.size;
  const { device, shape: before, dtype } = x;
  const operands = { x: x.dense(op), index: index.dense(op) };
  const y = filled(device, shape, dtype, op, (out) =>
    backend.gather({ outer, n: rows, inner, count, ...operands, out }),
  );
  return record(y, op, [
    x,
    [index],
    (dy, index) => {
      const value = index.value(op);
      const sizes = { outer, rows, inner, count, x: dy.dense(op) };
      const plan = value.host && planOf(device, value, value.host, rows);
      return filled(device, before, "f32", `${op}.grad`, (out) => {
        if (plan) backend.segmentSum({ ...sizes, out, start: plan.start.view(), order: plan.order.view() });
        else backend.scatterAdd({ ...sizes, out, elements: false, index: index.dense(op) });
      });
    },
  ]);
}

/**
 * Rows of a table: `weight (n, …)`, whole numbers `index (any shape)` → `(index shape, …)`.
 * @throws ShapeError when an index names a row that does not exist (the next read throws it where only the device knows); DTypeError unless
 * it is i32 or u32.
 */
export function embedding(weight: Tensor, index: Tensor): Tensor {
  checkTensor("embedding", "weight", weight);
  checkTensor("embedding", "index", index);
  if (weight.rank < 1) throw new ShapeError(`embedding: weight ${describe(weight)} has no rows`);
  return takeRows("embedding", weight, 0, index, [...index.shape, ...weight.shape.slice(1)]);
}

/** Positions of an axis in any order, repeats allowed: `index (m)` → x with m in place of the axis's size. */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  checkTensor("indexSelect", "x", x);
  checkTensor("indexSelect", "index", index);
  const axis = normalizeDim("indexSelect", dim, x.rank);
  if (x.rank < 1 || index.rank !== 1) {
    throw new ShapeError(`indexSelect: takes an index of one axis, got ${describe(index)} for x ${describe(x)}`);
  }
  return takeRows("indexSelect", x, axis, index, [...x.shape.slice(0, axis), index.size, ...x.shape.slice(axis + 1)]);
}

/**
 * Single elements along an axis: for dim 1 `y[i, j] = x[i, index[i, j]]`. `index` has x's rank, any length along `dim` and at
 * most x's elsewhere → shape of the index.
 * @throws ShapeError when the shapes do not fit, or an index is out of range (the next read throws it where only the device knows);
 * DTypeError unless i32 or u32.
 */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  checkTensor("gather", "x", x);
  checkTensor("gather", "index", index);
  const axis = normalizeDim("gather", dim, x.rank);
  const fits = index.rank === x.rank && index.shape.every((size, i) => i === axis || size <= x.shape[i]!);
  if (!fits) throw new ShapeError(`gather: index ${describe(index)} does not fit x ${describe(x)} along dim ${dim}`);
  if (x.rank === 0) return composed("gather", () => reshape(gather(reshape(x, [1]), 0, reshape(index, [1])), []));
  deviceOf("gather", x, index);
  checkIndex("gather", x, index, x.shape[axis]!);
  return composed("gather", () => {
    const part = slice(
      x,
      index.shape.map((size, i) => (i === axis ? null : ([0, size] as const))),
    );
    return takeElements(part, axis, index);
  });
}

function takeElements(x: Tensor, axis: number, index: Tensor): Tensor {
  const { backend } = deviceOf("gather", x, index);
  const rows = x.shape[axis]!;
  const count = index.shape[axis]!;
  const outer = numel(x.shape.slice(0, axis));
  const inner = numel(x.shape.slice(axis + 1));
  const { device, shape: before, dtype } = x;
  const operands = { x: x.dense("gather"), index: index.dense("gather") };
  const y = filled(device, index.shape, dtype, "gather", (out) =>
    backend.gatherElements({ outer, n: rows, inner, count, ...operands, out }),
  );
  return record(y, "gather", [
    x,
    [index],
    (dy, index) => {
      const given = { x: dy.dense("gather"), index: index.dense("gather") };
      return filled(device, before, "f32", "gather.grad", (out) =>
        backend.scatterAdd({ outer, rows, inner, count, elements: true, ...given, out }),
      );
    },
  ]);
}

/** One position of axis 1 for each entry of the batch: `y[i] = x[i, index[i]]`. `x (n, c, …)`, `index (n)` → `(n, …)`. */
export function pick(x: Tensor, index: Tensor): Tensor {
  checkTensor("pick", "x", x);
  checkTensor("pick", "index", index);
  if (x.rank < 2 || index.rank !== 1 || index.shape[0] !== x.shape[0]) {
    throw new ShapeError(
      `pick: index ${describe(index)} does not name one position for each entry of x ${describe(x)}`,
    );
  }
  deviceOf("pick", x, index);
  checkIndex("pick", x, index, x.shape[1]!);
  const column = reshape(index, [x.shape[0]!, ...x.shape.slice(1).map(() => 1)]);
  return composed("pick", () => squeeze(gather(x, 1, expand(column, [x.shape[0]!, 1, ...x.shape.slice(2)])), 1));
}

/**
 * How many distinct values each entry of a batch holds: `x (b, …)` of whole numbers 0 to 255 → `(b)`, f32. No gradient.
 * @throws ShapeError when x is a scalar.
 */
export function countDistinct(x: Tensor): Tensor {
  checkTensor("countDistinct", "x", x);
  if (x.rank < 1) throw new ShapeError(`countDistinct: x ${describe(x)} has no axis for the batch`);
  const rows = x.shape[0]!;
  const input = cast(x, "f32").dense("countDistinct");
  return filled(x.device, [rows], "f32", "countDistinct", (out) =>
    x.device.backend.countDistinct({ rows, cols: numel(x.shape.slice(1)), x: input, out }),
  );
}
