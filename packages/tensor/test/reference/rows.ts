import { type NdArray, ndarray } from "../../src/testing.ts";

/** Applies `f` to the values along some axes together, in row-major order, and puts its results in their places. */
export function alongAxes(
  x: NdArray,
  axes: readonly number[],
  f: (values: readonly number[]) => readonly number[],
): NdArray {
  const strides = x.shape.map((_, axis) => x.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const groups = new Map<number, number[]>();
  x.data.forEach((_, i) => {
    let first = i;
    for (const axis of axes) first -= (Math.floor(i / strides[axis]!) % x.shape[axis]!) * strides[axis]!;
    const group = groups.get(first);
    if (group) group.push(i);
    else groups.set(first, [i]);
  });
  const out = new Float64Array(x.data.length);
  for (const positions of groups.values()) {
    const results = f(positions.map((i) => x.data[i]!));
    positions.forEach((i, k) => {
      out[i] = results[k]!;
    });
  }
  return ndarray(x.shape, out);
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Softmax by its definition, shifted by the maximum. */
export function softmaxRow(values: readonly number[]): number[] {
  const top = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - top));
  const sum = total(powers);
  return powers.map((power) => power / sum);
}

export function logSoftmaxRow(values: readonly number[]): number[] {
  const top = Math.max(...values);
  const sum = Math.log(total(values.map((value) => Math.exp(value - top))));
  return values.map((value) => value - top - sum);
}

/** `(x − mean) / √(variance + eps)`, biased variance. */
export function normalizeRow(values: readonly number[], eps = 1e-5): number[] {
  const mean = total(values) / values.length;
  const variance = total(values.map((value) => (value - mean) ** 2)) / values.length;
  return values.map((value) => (value - mean) / Math.sqrt(variance + eps));
}

/** `x / max(‖x‖, eps)`. */
export function unitRow(values: readonly number[], eps = 1e-12): number[] {
  const length = Math.max(eps, Math.sqrt(total(values.map((value) => value ** 2))));
  return values.map((value) => value / length);
}

/** `x · weight + bias`, where weight and bias run along some axes of x: `at` says which element of theirs. */
export function affine(x: NdArray, weight: NdArray, bias: NdArray, at: (i: number) => number): NdArray {
  return ndarray(
    x.shape,
    x.data.map((value, i) => value * weight.data[at(i)]! + bias.data[at(i)]!),
  );
}
