/** Principal components. */

/** The eigenvalues of a symmetric matrix, largest first, each with its eigenvector of length 1. */
export interface Eigen {
  readonly values: readonly number[];
  readonly vectors: readonly Float64Array[];
}

/** Sweeps after which a matrix that is not diagonal is given up; 6 to 10 do. */
const MOST_SWEEPS = 60;

/**
 * Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations (Golub and Van Loan, Matrix Computations, 8.5).
 *
 * @param matrix n rows of n values, symmetric
 */
export function symmetricEigen(matrix: readonly ArrayLike<number>[]): Eigen {
  const n = matrix.length;
  const a = matrix.map((row) => Float64Array.from(row));
  // Row i of v is the eigenvector of a[i][i]: rotating rows of v keeps the inner loop in one array.
  const v = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const total = a.reduce((sum, row) => sum + row.reduce((s, x) => s + x * x, 0), 0);
  for (let sweep = 0; sweep < MOST_SWEEPS && offDiagonal(a) > 1e-26 * total; sweep++) {
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, p, q);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j]![j]! - a[i]![i]!);
  return { values: order.map((i) => a[i]![i]!), vectors: order.map((i) => v[i]!) };
}

function offDiagonal(a: readonly Float64Array[]): number {
  return a.reduce((sum, row, i) => sum + row.reduce((s, x, j) => (i === j ? s : s + x * x), 0), 0);
}

/** The rotation that makes `a[p][q]` zero. */
function rotate(a: readonly Float64Array[], v: readonly Float64Array[], p: number, q: number): void {
  const [rowP, rowQ] = [a[p]!, a[q]!];
  const apq = rowP[q]!;
  if (apq === 0) return;
  const theta = (rowQ[q]! - rowP[p]!) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < a.length; k++) {
    if (k === p || k === q) continue;
    const [akp, akq] = [rowP[k]!, rowQ[k]!];
    rowP[k] = c * akp - s * akq;
    rowQ[k] = s * akp + c * akq;
    a[k]![p] = rowP[k]!;
    a[k]![q] = rowQ[k]!;
  }
  rowP[p] = rowP[p]! - t * apq;
  rowQ[q] = rowQ[q]! + t * apq;
  rowP[q] = 0;
  rowQ[p] = 0;
  const [vp, vq] = [v[p]!, v[q]!];
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [vp[k]!, vq[k]!];
    vp[k] = c * x - s * y;
    vq[k] = s * x + c * y;
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
