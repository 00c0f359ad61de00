/** The operations by their definitions, in f64: naive loops that share nothing with what is measured. */

/** `a (batch, rows, inner) · b (batch, inner, cols)`. */
export function matmul(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { batch, rows, inner, cols }: Readonly<Record<"batch" | "rows" | "inner" | "cols", number>>,
): Float64Array {
  const out = new Float64Array(batch * rows * cols);
  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < rows; i++) {
      const to = (n * rows + i) * cols;
      for (let k = 0; k < inner; k++) {
        const factor = a[(n * rows + i) * inner + k]!;
        const from = (n * inner + k) * cols;
        for (let j = 0; j < cols; j++) out[to + j]! += factor * b[from + j]!;
      }
    }
  }
  return out;
}

/** The transpose of the last two axes of `x (batch, rows, cols)`. */
export function transpose(x: ArrayLike<number>, batch: number, rows: number, cols: number): Float64Array {
  const out = new Float64Array(batch * rows * cols);
  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < cols; j++) out[(n * cols + j) * rows + i] = x[(n * rows + i) * cols + j]!;
    }
  }
  return out;
}

/** One image `x (channels, size, size)`, `weight (outChannels, channels, kernel, kernel)`, stride 1, as many zeros around as keep the size. */
export function convolution(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  { channels, outChannels, size, kernel }: Readonly<Record<"channels" | "outChannels" | "size" | "kernel", number>>,
): Float64Array {
  const out = new Float64Array(outChannels * size * size);
  const reach = kernel >> 1;
  for (let o = 0; o < outChannels; o++) {
    for (let c = 0; c < channels; c++) {
      for (let ky = 0; ky < kernel; ky++) {
        for (let kx = 0; kx < kernel; kx++) {
          const factor = weight[((o * channels + c) * kernel + ky) * kernel + kx]!;
          for (let y = Math.max(0, reach - ky); y < Math.min(size, size + reach - ky); y++) {
            const to = (o * size + y) * size;
            const from = (c * size + y + ky - reach) * size + kx - reach;
            for (let column = Math.max(0, reach - kx); column < Math.min(size, size + reach - kx); column++) {
              out[to + column]! += factor * x[from + column]!;
            }
          }
        }
      }
    }
  }
  return out;
}

/** Rows as wide as `weight`; biased variance, eps 1e-5. */
export function layerNorm(x: ArrayLike<number>, weight: ArrayLike<number>, bias: ArrayLike<number>): Float64Array {
  const cols = weight.length;
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += cols) {
    let mean = 0;
    for (let i = 0; i < cols; i++) mean += x[row + i]! / cols;
    let variance = 0;
    for (let i = 0; i < cols; i++) variance += (x[row + i]! - mean) ** 2 / cols;
    const scale = 1 / Math.sqrt(variance + 1e-5);
    for (let i = 0; i < cols; i++) out[row + i] = (x[row + i]! - mean) * scale * weight[i]! + bias[i]!;
  }
  return out;
}

/** Of rows of `cols`. */
export function softmax(x: ArrayLike<number>, cols: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += cols) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < cols; i++) largest = Math.max(largest, x[row + i]!);
    let sum = 0;
    for (let i = 0; i < cols; i++) sum += out[row + i] = Math.exp(x[row + i]! - largest);
    for (let i = 0; i < cols; i++) out[row + i]! /= sum;
  }
  return out;
}

/** `softmax(q·kᵀ/√dim)·v` of q, k, v `(heads, tokens, dim)`. */
export function attention(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  { heads, tokens, dim }: Readonly<Record<"heads" | "tokens" | "dim", number>>,
): Float64Array {
  const keys = transpose(k, heads, tokens, dim);
  const scores = matmul(q, keys, { batch: heads, rows: tokens, inner: dim, cols: tokens });
  const map = softmax(
    scores.map((score) => score / Math.sqrt(dim)),
    tokens,
  );
  return matmul(map, v, { batch: heads, rows: tokens, inner: tokens, cols: dim });
}

/** `x·Φ(x)` with the exact distribution function. */
export function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x * Math.SQRT1_2));
}

/**
 * The error function by its series `2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!`, whose terms are all of one sign; past 6 it is ±1 in f64.
 * @see Abramowitz and Stegun, 7.1.6
 */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
