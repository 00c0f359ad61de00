import { type NdArray, ndarray } from "../../src/testing.ts";

/** Row-major strides. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
}

/** A reference for a reduction: the values of each group, in order, through `f`. */
export function reduceReference(
  axes: readonly number[] | undefined,
  f: (values: number[]) => number,
): (x: NdArray) => NdArray {
  return ({ shape, data }) => {
    const reduced = axes ?? shape.map((_, axis) => axis);
    const kept = shape.map((_, axis) => axis).filter((axis) => !reduced.includes(axis));
    const outShape = kept.map((axis) => shape[axis]!);
    const strides = stridesOf(shape);
    const groups: number[][] = Array.from({ length: outShape.reduce((a, b) => a * b, 1) }, () => []);
    data.forEach((value, i) => {
      let group = 0;
      for (const axis of kept) group = group * shape[axis]! + (Math.floor(i / strides[axis]!) % shape[axis]!);
      groups[group]!.push(value);
    });
    return ndarray(outShape, groups.map(f));
  };
}

/** Matrix product by its definition, batches of equal shape. */
export function matmulReference(a: NdArray, b: NdArray): NdArray {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const n = b.shape.at(-1)!;
  const batch = a.shape.slice(0, -2);
  const count = batch.reduce((x, y) => x * y, 1);
  const out = new Float64Array(count * m * n);
  for (let p = 0; p < count; p++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        for (let l = 0; l < k; l++)
          out[(p * m + i) * n + j]! += a.data[(p * m + i) * k + l]! * b.data[(p * k + l) * n + j]!;
      }
    }
  }
  return ndarray([...batch, m, n], out);
}

/** erf by its power series below 3 and by its continued fraction above: good to double rounding. */
export function erfReference(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let sum = 0;
    let term = a;
    for (let n = 0; n < 100; n++) {
      sum += term / (2 * n + 1);
      term *= (-a * a) / (n + 1);
    }
    return (Math.sign(x) * sum * 2) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let k = 80; k > 0; k--) fraction = k / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}
