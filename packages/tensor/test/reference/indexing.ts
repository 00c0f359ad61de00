import { type NdArray, ndarray } from "../../src/testing.ts";

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Position of `coordinates` in a row-major array. */
function offset(shape: readonly number[], coordinates: readonly number[]): number {
  return coordinates.reduce((at, c, axis) => at * shape[axis]! + c, 0);
}

function coordinatesOf(shape: readonly number[], position: number): number[] {
  const out: number[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    out.unshift(position % shape[axis]!);
    position = Math.floor(position / shape[axis]!);
  }
  return out;
}

/** An op that copies: element i of its result, of `shape`, is the one of its input that `from` names by coordinates. */
function copies(
  inShape: readonly number[],
  shape: readonly number[],
  from: (c: number[]) => readonly number[],
): (x: NdArray) => NdArray {
  const positions = Array.from({ length: product(shape) }, (_, i) => offset(inShape, from(coordinatesOf(shape, i))));
  return (x) =>
    ndarray(
      shape,
      Float64Array.from(positions, (position) => x.data[position]!),
    );
}

/** `y[…, j, …] = x[…, index[j], …]` along an axis of x's `shape`; the index's own axes stand in its place. */
export function indexSelectReference(
  shape: readonly number[],
  axis: number,
  index: ArrayLike<number>,
  indexShape: readonly number[],
): (x: NdArray) => NdArray {
  const after = axis + indexShape.length;
  return copies(shape, [...shape.slice(0, axis), ...indexShape, ...shape.slice(axis + 1)], (c) => [
    ...c.slice(0, axis),
    index[offset(indexShape, c.slice(axis, after))]!,
    ...c.slice(after),
  ]);
}

/** `y[…, j, …] = x[…, index[…, j, …], …]` along an axis of x's `shape`. */
export function gatherReference(
  shape: readonly number[],
  axis: number,
  index: ArrayLike<number>,
  indexShape: readonly number[],
): (x: NdArray) => NdArray {
  return copies(shape, indexShape, (c) => c.map((own, i) => (i === axis ? index[offset(indexShape, c)]! : own)));
}

/** `y[i, …] = x[i, index[i], …]`. */
export function pickReference(shape: readonly number[], index: ArrayLike<number>): (x: NdArray) => NdArray {
  return copies(shape, [shape[0]!, ...shape.slice(2)], ([i, ...rest]) => [i!, index[i!]!, ...rest]);
}
