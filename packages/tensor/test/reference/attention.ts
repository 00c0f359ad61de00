import { broadcastShapes, numel } from "../../src/shape.ts";
import { type NdArray, ndarray } from "../../src/testing.ts";
import { softmaxRow } from "./rows.ts";

/** An array expanded to a shape. */
function expanded(x: NdArray, shape: readonly number[]): (position: readonly number[]) => number {
  return (position) => {
    let at = 0;
    x.shape.forEach((size, axis) => {
      const p = position[axis + shape.length - x.shape.length]!;
      at = at * size + (size === 1 ? 0 : p);
    });
    return x.data[at]!;
  };
}

/** `softmax(q·kᵀ·scale + Σ biases)·v` from the definition; q, k and v of one batch. */
export function attentionReference(scale: number, q: NdArray, k: NdArray, v: NdArray, ...biases: NdArray[]): NdArray {
  const [n, d] = q.shape.slice(-2) as [number, number];
  const [m, e] = v.shape.slice(-2) as [number, number];
  const batch = q.shape.slice(0, -2);
  const scoreShape = [...batch, n, m];
  const added = biases.map((bias) => expanded(bias, broadcastShapes("reference", bias.shape, scoreShape)));
  const result = new Float64Array(numel(batch) * n * e);
  for (let b = 0; b < numel(batch); b++) {
    const place: number[] = [];
    for (let axis = batch.length - 1, rest = b; axis >= 0; axis--) {
      place.unshift(rest % batch[axis]!);
      rest = Math.floor(rest / batch[axis]!);
    }
    for (let i = 0; i < n; i++) {
      const scores = Array.from({ length: m }, (_, j) => {
        let dot = 0;
        for (let t = 0; t < d; t++) dot += q.data[(b * n + i) * d + t]! * k.data[(b * m + j) * d + t]!;
        return added.reduce((sum, bias) => sum + bias([...place, i, j]), dot * scale);
      });
      softmaxRow(scores).forEach((weight, j) => {
        for (let t = 0; t < e; t++) result[(b * n + i) * e + t]! += weight * v.data[(b * m + j) * e + t]!;
      });
    }
  }
  return ndarray([...batch, n, e], result);
}
