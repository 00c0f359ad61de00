import { checkTensor, checkWhole, checkWholes } from "../arguments.ts";
import { record, within } from "../autograd.ts";
import type { View } from "../backend.ts";
import { waitable } from "../deferred.ts";
import { bytesPerElement } from "../dtype.ts";
import { describe, ShapeError, shown } from "../errors.ts";
import { denseLayout, expandLayout, type Layout, permuteLayout, reshapeLayout } from "../layout.ts";
import { filled, launched, made, viewAs } from "../making.ts";
import { broadcastShapes, checkShape, normalizeDim, normalizeDims, numel, type Shape, sameShape } from "../shape.ts";
import type { Device, Tensor } from "../tensor.ts";
import { allocated, copyInto, endsLaunch, Leaves, type Pending, record as recordTree, worthAgain } from "../value.ts";
import { sumTo } from "./reduction.ts";

/** The same elements, row-major, in another shape; one size may be −1. Copies only where the strides do not allow a view. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  checkTensor("reshape", "x", x);
  const sizes = inferShape(x, shape);
  if (sameShape(sizes, x.shape)) return x;
  const { shape: before } = x;
  return record(reshaped(x, sizes), "reshape", [x, (dy) => reshape(dy, before)]);
}

function reshaped(x: Tensor, sizes: Shape): Tensor {
  const value = x.value("reshape");
  const { state } = value;
  const pending = state.kind === "pending" && pendingAs(x, state, "reshape", (layout) => reshapeLayout(layout, sizes));
  if (pending) return pending;
  const view = x.lazy("reshape");
  const layout = reshapeLayout(view.layout, sizes);
  if (layout) return viewAs(x, layout, "reshape");
  if (value.backend.epilogues && value.consumers === 0) {
    value.consumers++;
    const y = laidOut(x.device, waitable(view), sizes);
    y.value("reshape").below = value.below;
    return y;
  }
  return viewAs(x, { ...denseLayout(sizes), offset: x.dense("reshape").layout.offset }, "reshape");
}

/** What is pending stays so with its axes cut, joined or moved, where every part of it can be seen like that; for backends with epilogues. */
function pendingAs(
  x: Tensor,
  state: Pending,
  op: string,
  move: (layout: Layout) => Layout | undefined,
): Tensor | undefined {
  const value = x.value(op);
  if (!value.backend.epilogues || !worthAgain(value, state)) return undefined;
  const { shape } = move(denseLayout(x.shape))!;
  const leaves = Leaves.moved(state.leaves, move);
  if (!leaves) return undefined;
  value.consumers++;
  const y = made(x.device, { ...state, leaves: leaves.views }, shape, x.dtype, op, op);
  y.value(op).below = value.below;
  return y;
}

/** A copy that is made when something reads it, together with what is then computed of it, or by what computes its source. */
function laidOut(device: Device, view: View, sizes: Shape): Tensor {
  const { backend } = device;
  const { shape } = view.layout;
  const { dtype } = view;
  const bytes = numel(shape) * bytesPerElement(dtype);
  return launched(device, {
    ...{ shape: sizes, dtype, label: "reshape", reads: [view] },
    record(out, epilogue) {
      if (!epilogue) {
        copyInto(backend, view, { ...out, layout: denseLayout(shape) });
        return;
      }
      const { product, leaves, tree, params } = epilogue;
      const seen = (other: View): View | undefined => {
        const layout = reshapeLayout(other.layout, shape);
        return layout && { ...other, layout };
      };
      const target = seen(epilogue.out);
      const operands = leaves.map((leaf, i) => (i === product ? view : seen(leaf)));
      if (target && operands.every((leaf) => leaf !== undefined)) {
        recordTree(backend, { out: target, tree, leaves: operands, params });
        return;
      }
      const label = `reshape ${describe({ dtype, shape: sizes })}`;
      const storage = allocated(backend, bytes, label, (storage) =>
        copyInto(backend, view, { storage, layout: denseLayout(shape), dtype }),
      );
      const copied: View = { storage, layout: denseLayout(epilogue.out.layout.shape), dtype };
      const call = { out: epilogue.out, tree, params };
      try {
        backend.pointwise({ ...call, leaves: leaves.map((leaf, i) => (i === product ? copied : leaf)) });
      } finally {
        storage.release();
      }
    },
  });
}

function inferShape(x: Tensor, shape: Shape): Shape {
  checkWholes("reshape", "shape", shape, -1);
  const unknown = shape.indexOf(-1);
  const known = unknown < 0 ? 1 : numel(shape.filter((size) => size !== -1));
  const sizes = unknown < 0 ? shape : shape.map((size, axis) => (axis === unknown ? x.size / known : size));
  if (shape.lastIndexOf(-1) !== unknown || numel(sizes) !== x.size || !sizes.every(Number.isInteger)) {
    throw new ShapeError(`reshape: ${describe(x)} with ${x.size} elements does not fit [${shape.join(", ")}]`);
  }
  return sizes;
}

/** Reorders the axes: axis i of the result is axis `dims[i]` of `x`. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  checkTensor("permute", "x", x);
  checkWholes("permute", "dims", dims);
  const axes = dims.map((dim) => normalizeDim("permute", dim, x.rank));
  if (axes.length !== x.rank || axes.some((axis, i) => axes.indexOf(axis) !== i)) {
    throw new ShapeError(`permute: dims [${dims.join(", ")}] do not name each axis of ${describe(x)} once`);
  }
  if (axes.every((axis, i) => axis === i)) return x;
  const inverse = (): number[] => axes.map((_, i) => axes.indexOf(i));
  return record(permuted(x, axes), "permute", [x, (dy) => permute(dy, inverse())]);
}

function permuted(x: Tensor, axes: readonly number[]): Tensor {
  const value = x.value("permute");
  const { state } = value;
  // What has been computed is as good in one order as in another; what still ends a launch can go on being computed with.
  if (state.kind === "pending" && endsLaunch(value, state)) {
    const pending = pendingAs(x, state, "permute", (layout) => permuteLayout(layout, axes));
    if (pending) return pending;
  }
  return viewAs(x, permuteLayout(x.lazy("permute").layout, axes), "permute");
}

/** Swaps two axes. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  checkTensor("transpose", "x", x);
  const axes = Array.from({ length: x.rank }, (_, axis) => axis);
  const a = normalizeDim("transpose", dim0, x.rank);
  const b = normalizeDim("transpose", dim1, x.rank);
  [axes[a], axes[b]] = [b, a];
  return within("transpose", () => permute(x, axes));
}

/** One axis of a slice: start, stop and step (at least 1); negative positions count from the end; null keeps the axis. */
export type Range = readonly [start: number, stop: number, step?: number] | null;

/** NumPy's basic slicing, an axis at a time; axes without a range stay whole. */
export function slice(x: Tensor, ranges: readonly Range[]): Tensor {
  checkTensor("slice", "x", x);
  checkRanges(ranges);
  if (ranges.length > x.rank) throw new ShapeError(`slice: ${ranges.length} ranges for ${describe(x)}`);
  const { layout } = x.lazy("slice");
  let { offset } = layout;
  const shape = [...layout.shape];
  const strides = [...layout.strides];
  const picked: Picked[] = [];
  for (let axis = 0; axis < x.rank; axis++) {
    const range = ranges[axis];
    picked.push(EVERYTHING);
    if (!range) continue;
    const size = x.shape[axis]!;
    const [from, to, step = 1] = range;
    const start = clip(from, size);
    shape[axis] = Math.ceil((Math.max(start, clip(to, size)) - start) / step);
    offset += start * strides[axis]!;
    strides[axis]! *= step;
    picked[axis] = [start, step];
  }
  if (sameShape(shape, x.shape)) return x;
  // Nothing is left: a layout whose offset may point past the end is never read.
  const layoutOut = { shape, strides, offset: numel(shape) === 0 ? 0 : offset };
  const { shape: before } = x;
  return record(viewAs(x, layoutOut, "slice"), "slice", [x, (dy) => embed(dy, before, picked)]);
}

/** Where a slice of an axis begins, and its step. */
type Picked = readonly [start: number, step: number];

const EVERYTHING: Picked = [0, 1];

/** A position that may count from the end, inside an axis. */
function clip(position: number, size: number): number {
  return Math.min(size, Math.max(0, position < 0 ? position + size : position));
}

function checkRanges(ranges: readonly Range[]): void {
  if (!Array.isArray(ranges)) throw new ShapeError(`slice: ranges has to be an array of ranges, got ${shown(ranges)}`);
  for (let axis = 0; axis < ranges.length; axis++) {
    const range: Range | undefined = ranges[axis];
    if (range === null || range === undefined) continue;
    if (!Array.isArray(range) || range.length < 2 || range.length > 3) {
      throw new ShapeError(`slice: ranges[${axis}] has to be [start, stop, step] or null, got ${shown(range)}`);
    }
    const [start, stop, step = 1] = range as readonly [number, number, number?];
    const end = stop === Number.POSITIVE_INFINITY ? 0 : stop;
    if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && Number.isSafeInteger(step) && step >= 1) continue;
    checkWhole("slice", `start of ranges[${axis}]`, start);
    checkWhole("slice", `stop of ranges[${axis}]`, end);
    checkWhole("slice", `step of ranges[${axis}]`, step, 1);
  }
}

/** The adjoint of slice: zeros with `dy` at the sliced positions. */
function embed(dy: Tensor, shape: Shape, picked: readonly Picked[]): Tensor {
  const out = dy.device.zeros(shape, { dtype: dy.dtype, label: "slice.grad" });
  const base = out.view();
  const strides = base.layout.strides.map((stride, axis) => stride * picked[axis]![1]);
  const offset = base.layout.strides.reduce((sum, stride, axis) => sum + stride * picked[axis]![0], 0);
  dy.device.backend.copy({ out: { ...base, layout: { shape: dy.shape, strides, offset } }, input: dy.view() });
  return out;
}

/** `length` positions from `start` on, along one axis. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  checkTensor("narrow", "x", x);
  const axis = normalizeDim("narrow", dim, x.rank);
  checkWhole("narrow", "start", start);
  checkWhole("narrow", "length", length);
  if (start < 0 || length < 0 || start + length > x.shape[axis]!) {
    throw new ShapeError(`narrow: ${start} to ${start + length} is outside dim ${dim} of ${describe(x)}`);
  }
  const ranges: Range[] = Array.from({ length: axis + 1 }, () => null);
  ranges[axis] = [start, start + length];
  return within("narrow", () => slice(x, ranges));
}

/** One position of an axis, which disappears. */
export function select(x: Tensor, dim: number, index: number): Tensor {
  checkTensor("select", "x", x);
  const axis = normalizeDim("select", dim, x.rank);
  checkWhole("select", "index", index);
  const at = index < 0 ? index + x.shape[axis]! : index;
  if (at < 0 || at >= (x.shape[axis] ?? 0)) {
    throw new ShapeError(`select: index ${index} is outside dim ${dim} of ${describe(x)}`);
  }
  return within("select", () => squeeze(narrow(x, axis, at, 1), axis));
}

/** Broadcasts without copying: axes of size 1, and new ones in front, are repeated. −1 keeps a size. */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkTensor("expand", "x", x);
  checkWholes("expand", "shape", shape, -1);
  const added = shape.length - x.rank;
  const sizes = shape.map((size, axis) => (size === -1 ? (x.shape[axis - added] ?? 1) : size));
  if (added < 0 || !sameShape(broadcastShapes("expand", x.shape, sizes), sizes)) {
    throw new ShapeError(`expand: ${describe(x)} does not broadcast to [${shape.join(", ")}]`);
  }
  checkShape("expand", sizes);
  if (sameShape(sizes, x.shape)) return x;
  const { shape: before } = x;
  return record(expanded(x, sizes), "expand", [x, (dy) => sumTo(dy, before)]);
}

function expanded(x: Tensor, sizes: Shape): Tensor {
  const { state } = x.value("expand");
  const move = (layout: Layout): Layout => expandLayout(layout, sizes);
  const pending = state.kind === "pending" && state.leaves.length === 0 && pendingAs(x, state, "expand", move);
  return pending || viewAs(x, move(x.lazy("expand").layout), "expand");
}

/** Drops axes of size 1: all of them, or the named one, which must be of size 1. */
export function squeeze(x: Tensor, dim?: number): Tensor {
  checkTensor("squeeze", "x", x);
  if (dim === undefined)
    return within("squeeze", () =>
      reshape(
        x,
        x.shape.filter((size) => size !== 1),
      ),
    );
  const axis = normalizeDim("squeeze", dim, x.rank);
  if (x.shape[axis] !== 1) throw new ShapeError(`squeeze: dim ${dim} of ${describe(x)} is not of size 1`);
  return within("squeeze", () =>
    reshape(
      x,
      x.shape.filter((_, i) => i !== axis),
    ),
  );
}

/** Puts an axis of size 1 before axis `dim` of the result. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor("unsqueeze", "x", x);
  const axis = normalizeDim("unsqueeze", dim, x.rank + 1);
  return within("unsqueeze", () => reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]));
}

/** Joins the axes from `startDim` to `endDim` (included) into one. */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensor("flatten", "x", x);
  if (x.rank === 0) return reshape(x, [1]);
  const start = normalizeDim("flatten", startDim, x.rank);
  const end = normalizeDim("flatten", endDim, x.rank);
  if (end < start) throw new ShapeError(`flatten: dim ${endDim} of ${describe(x)} lies before dim ${startDim}`);
  const joined = [...x.shape.slice(0, start), numel(x.shape.slice(start, end + 1)), ...x.shape.slice(end + 1)];
  return within("flatten", () => reshape(x, joined));
}

/** Reverses the order along axes. */
export function flip(x: Tensor, dims: number | readonly number[]): Tensor {
  checkTensor("flip", "x", x);
  const axes = normalizeDims("flip", dims, x.rank);
  if (x.size === 0) return x;
  const { layout } = x.lazy("flip");
  const offset = axes.reduce((sum, axis) => sum + (x.shape[axis]! - 1) * layout.strides[axis]!, layout.offset);
  const strides = layout.strides.map((stride, axis) => (axes.includes(axis) ? -stride : stride));
  return record(viewAs(x, { shape: x.shape, strides, offset }, "flip"), "flip", [x, (dy) => flip(dy, axes)]);
}

/** The same tensor with its elements row-major in storage of its own. */
export function contiguous(x: Tensor): Tensor {
  checkTensor("contiguous", "x", x);
  x.dense("contiguous");
  return x;
}

/** A copy in storage of its own. */
export function clone(x: Tensor): Tensor {
  checkTensor("clone", "x", x);
  const input = x.view("clone");
  const y = filled(x.device, x.shape, x.dtype, "clone", (out) => x.device.backend.copy({ out, input }));
  return record(y, "clone", [x, (dy) => dy]);
}
