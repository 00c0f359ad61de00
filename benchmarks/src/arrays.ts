/** Arrays on the host: the same random inputs in every process, and their axes in the order that a contender wants. */
import type { Shape } from "@deplsr/tensor";

/** Number of elements. */
export function size(shape: Shape): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Uniform numbers in [−1, 1), the same for the same seed everywhere. @see Marsaglia's xorshift32, https://doi.org/10.18637/jss.v008.i14 */
export function uniform(count: number, seed: number): Float32Array {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = (state >> 0) / 0x80000000;
  }
  return values;
}

/** The array with its axes in another order: axis i of the result is axis `dims[i]` of `data`. */
export function permute(data: Float32Array, shape: Shape, dims: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => size(shape.slice(axis + 1)));
  const sizes = dims.map((dim) => shape[dim]!);
  const steps = dims.map((dim) => strides[dim]!);
  const out = new Float32Array(data.length);
  const index = sizes.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from]!;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++index[axis]! < sizes[axis]!) break;
      from -= steps[axis]! * sizes[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** The order of axes that undoes `dims`. */
export function inverse(dims: readonly number[]): number[] {
  return dims.map((_, axis) => dims.indexOf(axis));
}
