/**
 * Eigenvalues of a symmetric matrix, in no order: Householder's reduction to three diagonals, then implicit QL steps.
 *
 * @param a `n · n` values, of which the lower triangle is read; they are overwritten
 * @see Martin, Reinsch, Wilkinson 1968 (tred1) and Dubrulle 1970 (imtql1) in the Handbook for Automatic Computation II
 */
export function symmetricEigenvalues(a: Float64Array, n: number): Float64Array {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n); // beside[i] couples i and i + 1
  tridiagonalize(a, n, diagonal, beside);
  for (let first = 0; first < n; first++) deflate(diagonal, beside, first);
  return diagonal;
}

/** From the last row on, a reflection clears what stands before a row's neighbour of the diagonal. */
function tridiagonalize(a: Float64Array, n: number, diagonal: Float64Array, beside: Float64Array): void {
  const p = new Float64Array(n);
  for (let i = n - 1; i > 0; i--) {
    const u = a.subarray(i * n, i * n + i);
    let norm = 0;
    for (const value of u) norm += value * value;
    norm = Math.sqrt(norm);
    diagonal[i] = a[i * n + i]!;
    const last = u[i - 1]!;
    const reflected = last >= 0 ? -norm : norm;
    beside[i - 1] = reflected;
    const h = norm * norm - last * reflected; // half of |u|² after the next line
    if (h === 0) continue;
    u[i - 1] = last - reflected;
    p.fill(0, 0, i);
    for (let j = 0; j < i; j++) {
      const row = a.subarray(j * n, j * n + j + 1);
      const uj = u[j]!;
      let sum = 0;
      for (let k = 0; k < j; k++) {
        sum += row[k]! * u[k]!;
        p[k]! += row[k]! * uj;
      }
      p[j]! += sum + row[j]! * uj;
    }
    let k = 0;
    for (let j = 0; j < i; j++) k += u[j]! * p[j]!;
    k /= 2 * h * h;
    for (let j = 0; j < i; j++) p[j] = p[j]! / h - k * u[j]!;
    for (let j = 0; j < i; j++) {
      const row = a.subarray(j * n, j * n + j + 1);
      const [uj, pj] = [u[j]!, p[j]!];
      for (let m = 0; m <= j; m++) row[m]! -= uj * p[m]! + pj * u[m]!;
    }
  }
  if (n > 0) diagonal[0] = a[0]!;
}

/** QL steps until the value at `first` stands alone. */
function deflate(d: Float64Array, e: Float64Array, first: number): void {
  const n = d.length;
  for (;;) {
    let end = first;
    while (end < n - 1 && Math.abs(e[end]!) > Number.EPSILON * (Math.abs(d[end]!) + Math.abs(d[end + 1]!))) end++;
    if (end === first) return;
    let g = (d[first + 1]! - d[first]!) / (2 * e[first]!);
    g = d[end]! - d[first]! + e[first]! / (g + Math.sign(g || 1) * Math.hypot(g, 1));
    let [s, c, p] = [1, 1, 0];
    let i = end - 1;
    for (; i >= first; i--) {
      const f = s * e[i]!;
      const b = c * e[i]!;
      const r = Math.hypot(f, g);
      e[i + 1] = r;
      if (r === 0) {
        d[i + 1]! -= p;
        e[end] = 0;
        break;
      }
      s = f / r;
      c = g / r;
      g = d[i + 1]! - p;
      const t = (d[i]! - g) * s + 2 * c * b;
      p = s * t;
      d[i + 1] = g + p;
      g = c * t - b;
    }
    if (i >= first) continue;
    d[first]! -= p;
    e[first] = g;
    e[end] = 0;
  }
}
