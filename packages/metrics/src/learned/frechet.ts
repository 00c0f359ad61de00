import { symmetricEigenvalues } from "./eigenvalues.ts";

/** What a set of images looks like to a network: one row of features an image. */
export interface FeatureSet {
  readonly count: number;
  readonly dims: number;
  /** `count · dims` values, row by row. */
  readonly data: ArrayLike<number>;
}

/** The distance of two sets and what it is made of: `distance = meanTerm + trace1 + trace2 − 2 · traceRoot`. */
export interface FrechetDistance {
  readonly distance: number;
  /** Squared distance of the means. */
  readonly meanTerm: number;
  /** Traces of the covariances. */
  readonly trace1: number;
  readonly trace2: number;
  /** Trace of the root of the covariances' product. */
  readonly traceRoot: number;
}

/** Mean and unbiased covariance of features. */
export interface FeatureStatistics {
  /** `dims` values. */
  readonly mean: Float64Array;
  /** `dims · dims` values. */
  readonly covariance: Float64Array;
}

/** Rows of f64 values. */
interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

/**
 * Fréchet distance of two normal distributions that have the means and covariances (divisor N − 1) of two sets of features; f64.
 *
 * With `Σ = RᵀR` the trace of `(Σ₁Σ₂)^½` is the sum of the singular values of `R₁R₂ᵀ`, which is exact where there are fewer images than
 * features, and never complex.
 *
 * @throws RangeError for fewer than two images in a set, and for features of different lengths
 * @see https://arxiv.org/abs/1706.08500 equation 6
 */
export function frechetDistance(a: FeatureSet, b: FeatureSet): FrechetDistance {
  if (a.dims !== b.dims) throw new RangeError(`frechetDistance: ${a.dims} features an image beside ${b.dims}`);
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  const [centredA, centredB] = [centred(a, meanA), centred(b, meanB)];
  const meanTerm = meanA.reduce((sum, value, i) => sum + (value - meanB[i]!) ** 2, 0);
  const [trace1, trace2] = [squares(centredA), squares(centredB)];
  const traceRoot = singularSum(timesTransposed(root(centredA), root(centredB)));
  return { distance: meanTerm + trace1 + trace2 - 2 * traceRoot, meanTerm, trace1, trace2, traceRoot };
}

/** @throws RangeError for fewer than two images */
export function featureStatistics(features: FeatureSet): FeatureStatistics {
  const mean = meanOf(features);
  return { mean, covariance: gram(centred(features, mean)).data };
}

function meanOf({ count, dims, data }: FeatureSet): Float64Array {
  if (count < 2) throw new RangeError(`a set of ${count} images has no covariance: at least two are needed`);
  const mean = new Float64Array(dims);
  for (let i = 0; i < count * dims; i++) mean[i % dims]! += data[i]! / count;
  return mean;
}

/** The features around their mean, divided by √(N − 1): its Gram matrix is the covariance. */
function centred({ count, dims, data }: FeatureSet, mean: Float64Array): Matrix {
  const scale = 1 / Math.sqrt(count - 1);
  const values = Float64Array.from({ length: count * dims }, (_, i) => (data[i]! - mean[i % dims]!) * scale);
  return { rows: count, cols: dims, data: values };
}

/** A matrix R of the fewest rows with the same `RᵀR`. */
function root(x: Matrix): Matrix {
  return x.rows <= x.cols ? x : cholesky(gram(x));
}

/** The upper triangle R with `RᵀR = s`; where `s` is singular some of its rows are 0. */
function cholesky({ rows: n, data: s }: Matrix): Matrix {
  const r = new Float64Array(n * n);
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, s[i * n + i]!);
  for (let i = 0; i < n; i++) {
    const row = r.subarray(i * n + i, (i + 1) * n);
    row.set(s.subarray(i * n + i, (i + 1) * n));
    for (let k = 0; k < i; k++) {
      const above = r.subarray(k * n + i, (k + 1) * n);
      const factor = above[0]!;
      if (factor !== 0) for (let j = 0; j < row.length; j++) row[j]! -= factor * above[j]!;
    }
    const pivot = row[0]!;
    const scale = pivot > n * Number.EPSILON * largest ? 1 / Math.sqrt(pivot) : 0;
    for (let j = 0; j < row.length; j++) row[j]! *= scale;
  }
  return { rows: n, cols: n, data: r };
}

/** `xᵀx`. */
function gram({ rows, cols, data }: Matrix): Matrix {
  const transposed = Float64Array.from(
    { length: rows * cols },
    (_, i) => data[(i % rows) * cols + Math.floor(i / rows)]!,
  );
  const columns = { rows: cols, cols: rows, data: transposed };
  return timesTransposed(columns, columns);
}

/** `a·bᵀ`. */
function timesTransposed(a: Matrix, b: Matrix): Matrix {
  const data = new Float64Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++) {
    const left = a.data.subarray(i * a.cols, (i + 1) * a.cols);
    for (let j = 0; j < b.rows; j++) {
      const right = b.data.subarray(j * b.cols, (j + 1) * b.cols);
      let sum = 0;
      for (let k = 0; k < left.length; k++) sum += left[k]! * right[k]!;
      data[i * b.rows + j] = sum;
    }
  }
  return { rows: a.rows, cols: b.rows, data };
}

/** Sum of the singular values: of the roots of the eigenvalues of `m·mᵀ`, which rounding may leave a little below 0. */
function singularSum(m: Matrix): number {
  const { rows, data } = m.rows <= m.cols ? timesTransposed(m, m) : gram(m);
  return symmetricEigenvalues(data, rows).reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}

function squares({ data }: Matrix): number {
  return data.reduce((sum, value) => sum + value * value, 0);
}
