/** Eigenvalues of a symmetric matrix with their vectors. */
export interface SymmetricEigen {
  readonly values: Float64Array;
  /** `vectors[i]` belongs to `values[i]` and has length 1. */
  readonly vectors: readonly Float64Array[];
}

/** Each sweep squares the error; ten are enough for hundreds of rows. */
const MOST_SWEEPS = 30;

/**
 * Eigenvalues and eigenvectors of a small symmetric matrix, in no order, by Jacobi's rotations. Errors are about 1e-16 of the largest eigenvalue.
 *
 * @param matrix (size, size), row by row
 * @see Golub, Van Loan, "Matrix Computations", 8.5
 */
export function symmetricEigen(matrix: ArrayLike<number>, size: number): SymmetricEigen {
  const square = (value: (i: number, j: number) => number): Float64Array[] =>
    Array.from({ length: size }, (_, i) => Float64Array.from({ length: size }, (_, j) => value(i, j)));
  const rows = square((i, j) => matrix[i * size + j]!);
  const vectors = square((i, j) => (i === j ? 1 : 0));
  const norm = Math.hypot(...rows.map((row) => Math.hypot(...row)));
  let turned = true;
  for (let sweep = 0; turned && sweep < MOST_SWEEPS; sweep++) {
    turned = false;
    for (let p = 0; p < size - 1; p++) {
      for (let q = p + 1; q < size; q++) {
        const between = rows[p]![q]!;
        if (Math.abs(between) <= 1e-18 * norm) continue;
        turned = true;
        const ratio = (rows[q]![q]! - rows[p]![p]!) / (2 * between);
        const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(ratio, 1));
        const cosine = 1 / Math.hypot(tangent, 1);
        const sine = tangent * cosine;
        for (const row of rows) [row[p], row[q]] = turn(row[p]!, row[q]!, cosine, sine);
        for (const matrixRows of [rows, vectors]) {
          for (let i = 0; i < size; i++) {
            const [a, b] = turn(matrixRows[p]![i]!, matrixRows[q]![i]!, cosine, sine);
            matrixRows[p]![i] = a;
            matrixRows[q]![i] = b;
          }
        }
      }
    }
  }
  return { values: Float64Array.from(rows, (row, i) => row[i]!), vectors };
}

function turn(a: number, b: number, cosine: number, sine: number): [number, number] {
  return [cosine * a - sine * b, sine * a + cosine * b];
}
