import { denseStrides, numel, type Shape } from "../../src/shape.ts";
import type { NdArray } from "../../src/testing.ts";

/*
 * Operations of random programs in double precision, written from their definitions over row-major arrays.
 */

/** The array of a shape whose element at `position` is `value(position)`. */
export function fill(shape: Shape, value: (position: readonly number[]) => number): NdArray {
  const data = new Float64Array(numel(shape));
  const position = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(position);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis]!++;
      if (position[axis]! < shape[axis]!) break;
      position[axis] = 0;
    }
  }
  return { shape, data };
}

/** The element at a position, with NumPy's broadcasting of axes of size 1. */
export function at(x: NdArray, position: readonly number[]): number {
  const strides = denseStrides(x.shape);
  const added = position.length - x.shape.length;
  return x.data[
    strides.reduce((sum, stride, axis) => sum + (x.shape[axis] === 1 ? 0 : stride * position[axis + added]!), 0)
  ]!;
}

/** A function of each element. */
export function map(x: NdArray, f: (value: number) => number): NdArray {
  return { shape: x.shape, data: x.data.map(f) };
}

/** A function of two elements, broadcasting to `shape`. */
export function zip(shape: Shape, a: NdArray, b: NdArray, f: (a: number, b: number) => number): NdArray {
  return fill(shape, (position) => f(at(a, position), at(b, position)));
}

/** Sum over one axis, which stays with size 1. */
export function sumAxis(x: NdArray, axis: number): NdArray {
  const shape = x.shape.map((size, i) => (i === axis ? 1 : size));
  return fill(shape, (position) => {
    let total = 0;
    for (let i = 0; i < x.shape[axis]!; i++)
      total += at(
        x,
        position.map((own, k) => (k === axis ? i : own)),
      );
    return total;
  });
}

/** `a (m, k) · b (k, n)`. */
export function matmul(a: NdArray, b: NdArray): NdArray {
  const k = a.shape[1]!;
  return fill([a.shape[0]!, b.shape[1]!], ([i, j]) => {
    let total = 0;
    for (let l = 0; l < k; l++) total += at(a, [i!, l]) * at(b, [l, j!]);
    return total;
  });
}

/** Softmax along the last axis. */
export function softmax(x: NdArray): NdArray {
  const last = x.shape.length - 1;
  const e = map(x, Math.exp);
  const totals = sumAxis(e, last);
  return zip(x.shape, e, totals, (a, b) => a / b);
}

/** Layer normalisation along the last axis, eps 1e-2. */
export function layerNorm(x: NdArray): NdArray {
  const last = x.shape.length - 1;
  const count = x.shape[last]!;
  const mean = map(sumAxis(x, last), (v) => v / count);
  const centred = zip(x.shape, x, mean, (a, b) => a - b);
  const variance = map(
    sumAxis(
      map(centred, (v) => v * v),
      last,
    ),
    (v) => v / count,
  );
  return zip(x.shape, centred, variance, (a, b) => a / Math.sqrt(b + 1e-2));
}
