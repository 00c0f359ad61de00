import { broadcastShapes, numel, type Shape } from "../../src/shape.ts";
import { type NdArray, ndarray } from "../../src/testing.ts";
import { softmaxRow } from "./rows.ts";

/** Where the elements of an array that is expanded to a shape lie in it. */
function expanded(x: NdArray, shape: Shape): (position: readonly number[]) => number {
  return (position) => {
    let at = 0;
    x.shape.forEach((size, axis) => {
      const p = position[axis + shape.length - x.shape.length]!;
      at = at * size + (size === 1 ? 0 : p);
    });
    return at;
  };
}

/** One query of one entry of the batch. */
interface Row {
  /** The entry, and the row in it. */
  readonly b: number;
  readonly i: number;
  /** The attention of each key, and for each bias where what was added to that key's score lies. */
  readonly weights: readonly number[];
  readonly places: readonly (readonly number[])[];
}

function* rowsOf(scale: number, q: NdArray, k: NdArray, biases: readonly NdArray[]): Generator<Row> {
  const [n, d] = q.shape.slice(-2) as [number, number];
  const m = k.shape.at(-2)!;
  const batch = q.shape.slice(0, -2);
  const shape = [...batch, n, m];
  const places = biases.map((bias) => expanded(bias, broadcastShapes("reference", bias.shape, shape)));
  for (let b = 0; b < numel(batch); b++) {
    const place: number[] = [];
    for (let axis = batch.length - 1, rest = b; axis >= 0; axis--) {
      place.unshift(rest % batch[axis]!);
      rest = Math.floor(rest / batch[axis]!);
    }
    for (let i = 0; i < n; i++) {
      const own = places.map((at) => Array.from({ length: m }, (_, j) => at([...place, i, j])));
      const scores = Array.from({ length: m }, (_, j) => {
        let dot = 0;
        for (let t = 0; t < d; t++) dot += q.data[(b * n + i) * d + t]! * k.data[(b * m + j) * d + t]!;
        return biases.reduce((sum, bias, x) => sum + bias.data[own[x]![j]!]!, dot * scale);
      });
      yield { b, i, weights: softmaxRow(scores), places: own };
    }
  }
}

/** `softmax(q·kᵀ·scale + Σ biases)·v` from the definition; q, k and v of one batch. */
export function attentionReference(scale: number, q: NdArray, k: NdArray, v: NdArray, ...biases: NdArray[]): NdArray {
  const n = q.shape.at(-2)!;
  const [m, e] = v.shape.slice(-2) as [number, number];
  const shape = [...q.shape.slice(0, -1), e];
  const result = new Float64Array(numel(shape));
  for (const { b, i, weights } of rowsOf(scale, q, k, biases)) {
    weights.forEach((weight, j) => {
      for (let t = 0; t < e; t++) result[(b * n + i) * e + t]! += weight * v.data[(b * m + j) * e + t]!;
    });
  }
  return ndarray(shape, result);
}

/** The gradients of `Σ dy · attention` with respect to q, k, v and the biases, from the definition. */
export function attentionGradReference(
  scale: number,
  dy: NdArray,
  q: NdArray,
  k: NdArray,
  v: NdArray,
  ...biases: NdArray[]
): NdArray[] {
  const [n, d] = q.shape.slice(-2) as [number, number];
  const [m, e] = v.shape.slice(-2) as [number, number];
  const gradients = [q, k, v, ...biases].map(({ shape }) => ndarray(shape, new Float64Array(numel(shape))));
  const [dq, dk, dv, ...added] = gradients.map(({ data }) => data) as [
    Float64Array,
    Float64Array,
    Float64Array,
    ...Float64Array[],
  ];
  for (const { b, i, weights, places } of rowsOf(scale, q, k, biases)) {
    const [row, keys] = [b * n + i, b * m];
    const slopes = weights.map((weight, j) => {
      let slope = 0;
      for (let t = 0; t < e; t++) {
        slope += dy.data[row * e + t]! * v.data[(keys + j) * e + t]!;
        dv[(keys + j) * e + t]! += weight * dy.data[row * e + t]!;
      }
      return slope;
    });
    const mean = weights.reduce((sum, weight, j) => sum + weight * slopes[j]!, 0);
    weights.forEach((weight, j) => {
      const slope = weight * (slopes[j]! - mean);
      for (let t = 0; t < d; t++) {
        dq[row * d + t]! += scale * slope * k.data[(keys + j) * d + t]!;
        dk[(keys + j) * d + t]! += scale * slope * q.data[row * d + t]!;
      }
      places.forEach((own, x) => {
        added[x]![own[j]!]! += slope;
      });
    });
  }
  return gradients;
}
