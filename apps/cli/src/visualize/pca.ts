/** Principal components. */
import { UserError } from "../errors.ts";

/** The eigenvalues of a symmetric matrix, largest first, each with its eigenvector of length 1. */
export interface Eigen {
  readonly values: readonly number[];
  readonly vectors: readonly Float64Array[];
}

/** Steps for each eigenvalue after which a matrix is given up; about 2 do. */
const MOST_STEPS = 60;

/**
 * Eigenvalues and eigenvectors of a symmetric matrix: made tridiagonal by reflections, then diagonal by shifted QR steps. A few seconds for 768 rows.
 *
 * @param matrix n rows of n values, symmetric
 * @throws UserError when they are not all finite
 * @see Golub and Van Loan, Matrix Computations, 8.3
 */
export function symmetricEigen(matrix: readonly ArrayLike<number>[]): Eigen {
  const n = matrix.length;
  const { diagonal, beside, mirrors } = tridiagonal(matrix);
  // Row i is the vector of diagonal[i], in the basis that makes the matrix tridiagonal: rotating rows keeps the inner loop in one array.
  const rows = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const size = diagonal.reduce((most, value, i) => Math.max(most, Math.abs(value), Math.abs(beside[i] ?? 0)), 0);
  const isZero = (value: number): boolean => Math.abs(value) <= Number.EPSILON * size;
  if (!Number.isFinite(size)) throw new UserError("visualize: the filters are not all numbers: the weights are no use");
  let end = n - 1;
  for (let step = 0; end > 0 && step < MOST_STEPS * n; step++) {
    while (end > 0 && isZero(beside[end - 1]!)) end--;
    let start = end;
    while (start > 0 && !isZero(beside[start - 1]!)) start--;
    if (start < end) qrStep({ diagonal, beside, rows }, start, end);
  }
  if (end > 0) throw new Error(`internal: the eigenvalues of ${n} rows did not settle`);
  for (const mirror of mirrors.reverse()) for (const row of rows) reflect(row, mirror);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => diagonal[j]! - diagonal[i]!);
  return { values: order.map((i) => diagonal[i]!), vectors: order.map((i) => rows[i]!) };
}

/** A symmetric matrix with nothing but its diagonal and the values beside that, after reflections. */
interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** Entry i stands between i and i + 1. */
  readonly beside: Float64Array;
  /** Normals of length √2 of the hyperplanes, in the order of the reflections. */
  readonly mirrors: Float64Array[];
}

/** Householder's: column by column, all below the first value under the diagonal is reflected into that. */
function tridiagonal(matrix: readonly ArrayLike<number>[]): Tridiagonal {
  const n = matrix.length;
  const a = matrix.map((row) => Float64Array.from(row));
  const mirrors: Float64Array[] = [];
  for (let k = 0; k + 2 < n; k++) {
    const below = a[k]!.map((value, i) => (i > k ? value : 0));
    const length = Math.sqrt(dot(below, below));
    if (length === 0) continue;
    // To the side that adds up: nothing is cancelled.
    below[k + 1] = below[k + 1]! + (below[k + 1]! < 0 ? -length : length);
    const norm = Math.sqrt(dot(below, below) / 2);
    const mirror = below.map((value) => value / norm);
    mirrors.push(mirror);
    // (I - v vᵀ) A (I - v vᵀ) = A - v wᵀ - w vᵀ with w = A v - (vᵀ A v / 2) v.
    const w = Float64Array.from(a, (row) => dot(row, mirror));
    const half = dot(w, mirror) / 2;
    for (let i = 0; i < n; i++) w[i] = w[i]! - half * mirror[i]!;
    for (let i = k; i < n; i++) {
      const [row, vi, wi] = [a[i]!, mirror[i]!, w[i]!];
      for (let j = k; j < n; j++) row[j] = row[j]! - vi * w[j]! - wi * mirror[j]!;
    }
  }
  const diagonal = Float64Array.from(a, (row, i) => row[i]!);
  const beside = Float64Array.from({ length: Math.max(0, n - 1) }, (_, i) => a[i]![i + 1]!);
  return { diagonal, beside, mirrors };
}

/** x to (I - v vᵀ) x, where v is of length √2. */
function reflect(x: Float64Array, mirror: Float64Array): void {
  const along = dot(x, mirror);
  for (let i = 0; i < x.length; i++) x[i] = x[i]! - along * mirror[i]!;
}

/** An implicit QR step with Wilkinson's shift on the rows `start` to `end`, between which nothing beside the diagonal is zero. */
function qrStep(
  { diagonal, beside, rows }: Pick<Tridiagonal, "diagonal" | "beside"> & { readonly rows: readonly Float64Array[] },
  start: number,
  end: number,
): void {
  const last = beside[end - 1]!;
  const half = (diagonal[end - 1]! - diagonal[end]!) / 2;
  const shift = diagonal[end]! - last ** 2 / (half + (half < 0 ? -1 : 1) * Math.hypot(half, last));
  let [x, bulge] = [diagonal[start]! - shift, beside[start]!];
  for (let k = start; k < end; k++) {
    const length = Math.hypot(x, bulge);
    const [c, s] = length === 0 ? [1, 0] : [x / length, bulge / length];
    if (k > start) beside[k - 1] = length;
    const [upper, between, lower] = [diagonal[k]!, beside[k]!, diagonal[k + 1]!];
    diagonal[k] = c * c * upper + 2 * c * s * between + s * s * lower;
    diagonal[k + 1] = s * s * upper - 2 * c * s * between + c * c * lower;
    beside[k] = (c * c - s * s) * between + c * s * (lower - upper);
    x = beside[k]!;
    if (k + 1 < end) {
      bulge = s * beside[k + 1]!;
      beside[k + 1] = c * beside[k + 1]!;
    }
    const [first, second] = [rows[k]!, rows[k + 1]!];
    for (let i = 0; i < first.length; i++) {
      const [p, q] = [first[i]!, second[i]!];
      first[i] = c * p + s * q;
      second[i] = c * q - s * p;
    }
  }
}

/** What varies most in a set of points. */
export interface Components {
  /** Directions of length 1, that of the largest variance first; their largest value is positive. */
  readonly directions: readonly Float64Array[];
  /** The variance along each, over n - 1. */
  readonly variance: readonly number[];
  /** The same as shares of the whole variance. */
  readonly share: readonly number[];
  /** Where each point lies along each direction, from the mean. */
  readonly scores: readonly Float64Array[];
}

/**
 * The first principal components of points; fewer where fewer vary. The eigenvectors are those of the smaller of the two products of the
 * centred points with themselves: by dimension, or by point.
 *
 * @param points at least two, all of one dimension
 */
export function principalComponents(points: readonly ArrayLike<number>[], count: number): Components {
  const [n, d] = [points.length, points[0]?.length ?? 0];
  const mean = Float64Array.from({ length: d }, (_, j) => points.reduce((sum, x) => sum + x[j]!, 0) / n);
  const centred = points.map((x) => Float64Array.from({ length: d }, (_, j) => x[j]! - mean[j]!));
  const columns = Array.from({ length: d }, (_, j) => Float64Array.from(centred, (x) => x[j]!));
  const { values, vectors } = symmetricEigen(products(n <= d ? centred : columns));
  const whole = values.reduce((sum, value) => sum + value, 0);
  // What rounding leaves of no variance has no direction.
  const found = values.slice(0, count).filter((value) => value > 1e-12 * whole);
  const directions = found.map((value, i) => {
    const vector = vectors[i]!;
    const along = n <= d ? columns.map((column) => dot(column, vector) / Math.sqrt(value)) : [...vector];
    const largest = along.reduce((best, x) => (Math.abs(x) > Math.abs(best) ? x : best), 0);
    return Float64Array.from(along, (x) => (largest < 0 ? -x : x));
  });
  return {
    directions,
    variance: found.map((value) => value / (n - 1)),
    share: found.map((value) => value / whole),
    scores: centred.map((x) => Float64Array.from(directions, (direction) => dot(x, direction))),
  };
}

/** All inner products of rows. */
function products(rows: readonly Float64Array[]): Float64Array[] {
  const result = rows.map(() => new Float64Array(rows.length));
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j <= i; j++) {
      result[i]![j] = dot(rows[i]!, rows[j]!);
      result[j]![i] = result[i]![j]!;
    }
  }
  return result;
}

/** The inner product of two vectors. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
