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

/** A convolution of square images: x (batch, channels, size, size), weight (outChannels, channels / groups, kernel, kernel), padding kernel >> 1. */
export interface Convolution {
  readonly batch: number;
  readonly channels: number;
  readonly outChannels: number;
  readonly size: number;
  readonly kernel: number;
  /** Default 1. */
  readonly stride?: number;
  /** Default 1. */
  readonly groups?: number;
}

/** Side of the result. */
export function outputSize({ size, kernel, stride = 1 }: Convolution): number {
  return Math.floor((size + 2 * (kernel >> 1) - kernel) / stride) + 1;
}

/** `y = x * weight`. */
export function convolution(x: ArrayLike<number>, weight: ArrayLike<number>, sizes: Convolution): Float64Array {
  const y = new Float64Array(sizes.batch * sizes.outChannels * outputSize(sizes) ** 2);
  forEachProduct(sizes, (i, j, k) => {
    y[k]! += x[i]! * weight[j]!;
  });
  return y;
}

/** The gradient of x, from y's. */
export function convolutionInputGradient(
  dy: ArrayLike<number>,
  weight: ArrayLike<number>,
  sizes: Convolution,
): Float64Array {
  const dx = new Float64Array(sizes.batch * sizes.channels * sizes.size ** 2);
  forEachProduct(sizes, (i, j, k) => {
    dx[i]! += dy[k]! * weight[j]!;
  });
  return dx;
}

/** The gradient of the weight, from y's. */
export function convolutionWeightGradient(
  dy: ArrayLike<number>,
  x: ArrayLike<number>,
  sizes: Convolution,
): Float64Array {
  const { outChannels, channels, groups = 1, kernel } = sizes;
  const dWeight = new Float64Array(outChannels * (channels / groups) * kernel ** 2);
  forEachProduct(sizes, (i, j, k) => {
    dWeight[j]! += dy[k]! * x[i]!;
  });
  return dWeight;
}

/** Calls `visit` with the places in x, weight and y of every product that a convolution sums. */
function forEachProduct(sizes: Convolution, visit: (x: number, weight: number, y: number) => void): void {
  const { batch, channels, outChannels, size, kernel, stride = 1, groups = 1 } = sizes;
  const outSize = outputSize(sizes);
  const reach = kernel >> 1;
  const [inGroup, outGroup] = [channels / groups, outChannels / groups];
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < outChannels; o++) {
      for (let c = 0; c < inGroup; c++) {
        const channel = n * channels + Math.floor(o / outGroup) * inGroup + c;
        for (let tap = 0; tap < kernel ** 2; tap++) {
          const [down, right] = [Math.floor(tap / kernel) - reach, (tap % kernel) - reach];
          const weight = (o * inGroup + c) * kernel ** 2 + tap;
          for (let row = 0; row < outSize; row++) {
            const y = row * stride + down;
            if (y < 0 || y >= size) continue;
            for (let column = 0; column < outSize; column++) {
              const x = column * stride + right;
              if (x < 0 || x >= size) continue;
              visit(
                (channel * size + y) * size + x,
                weight,
                ((n * outChannels + o) * outSize + row) * outSize + column,
              );
            }
          }
        }
      }
    }
  }
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

/** `softmax(q·kᵀ/√dim + bias)·v` of q, k, v `(heads, tokens, dim)`; a bias of fewer heads is used again and again. */
export function attention(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  { heads, tokens, dim }: Readonly<Record<"heads" | "tokens" | "dim", number>>,
  bias: ArrayLike<number> = [0],
): Float64Array {
  const keys = transpose(k, heads, tokens, dim);
  const scores = matmul(q, keys, { batch: heads, rows: tokens, inner: dim, cols: tokens });
  const map = softmax(
    scores.map((score, i) => score / Math.sqrt(dim) + bias[i % bias.length]!),
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
