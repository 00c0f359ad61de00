import { ShapeError, shown } from "./errors.ts";

/** Sizes of the axes, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

export function numel(shape: Shape): number {
  let product = 1;
  for (let axis = 0; axis < shape.length; axis++) product *= shape[axis]!;
  return product;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

/** An axis counted from either end as an index from the front. @throws ShapeError when there is no such axis. */
export function normalizeDim(op: string, dim: number, rank: number): number {
  const axis = dim < 0 ? dim + rank : dim;
  if (!Number.isInteger(dim) || axis < 0 || axis >= Math.max(rank, 1)) {
    throw new ShapeError(`${op}: no dim ${shown(dim)} in a tensor of rank ${rank}`);
  }
  return axis;
}

/** Axes to work on: all when `dim` is absent, sorted, each once. */
export function normalizeDims(op: string, dim: number | readonly number[] | undefined, rank: number): number[] {
  if (dim === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  if (typeof dim !== "number" && !Array.isArray(dim)) {
    throw new ShapeError(`${op}: dim has to be a whole number or an array of them, got ${shown(dim)}`);
  }
  const axes = (typeof dim === "number" ? [dim] : (dim as readonly number[])).map((d) => normalizeDim(op, d, rank));
  if (new Set(axes).size !== axes.length) throw new ShapeError(`${op}: dim ${JSON.stringify(dim)} names an axis twice`);
  return rank === 0 ? [] : axes.sort((a, b) => a - b);
}

/** NumPy's broadcasting of two shapes. @throws ShapeError naming the axis that does not fit. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let back = 1; back <= rank; back++) {
    const left = a[a.length - back] ?? 1;
    const right = b[b.length - back] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(
        `${op}: cannot broadcast a [${a.join(", ")}] with b [${b.join(", ")}]: dim ${-back} is ${left} vs ${right}`,
      );
    }
    out[rank - back] = left === 1 ? right : left;
  }
  return out;
}

/** Strides, in elements, of a dense row-major array. */
export function denseStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** @throws ShapeError unless every size is a whole number of at least 0, and there are not more elements than can be counted. */
export function checkShape(op: string, shape: Shape): void {
  if (!Array.isArray(shape)) {
    throw new ShapeError(`${op}: shape has to be an array of sizes, got ${shown(shape)}`);
  }
  let count = 1;
  for (const size of shape) {
    if (!(Number.isInteger(size) && size >= 0)) {
      throw new ShapeError(`${op}: ${shown(shape)} is no shape: sizes are whole numbers of at least 0`);
    }
    count *= size;
  }
  if (count > Number.MAX_SAFE_INTEGER) throw new ShapeError(`${op}: shape ${shown(shape)} has too many elements`);
}
