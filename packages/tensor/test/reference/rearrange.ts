import { type NdArray, ndarray } from "../../src/testing.ts";

/** Moves every element to where `to` says: coordinates in `x` → coordinates in the result. */
export function movedReference(
  x: NdArray,
  shape: readonly number[],
  to: (at: readonly number[]) => readonly number[],
): NdArray {
  const y = new Float64Array(x.data.length).fill(Number.NaN);
  const flat = (sizes: readonly number[], at: readonly number[]): number =>
    at.reduce((sum, i, axis) => sum * sizes[axis]! + i, 0);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    const at = x.shape.map(() => 0);
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      at[axis] = rest % x.shape[axis]!;
      rest = Math.floor(rest / x.shape[axis]!);
    }
    y[flat(shape, to(at))] = x.data[i]!;
  }
  return ndarray(shape, y);
}
