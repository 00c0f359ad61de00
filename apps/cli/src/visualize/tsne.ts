/**
 * t-SNE: points of many dimensions on a plane so that neighbours stay neighbours. Exact, not Barnes-Hut; settings as scikit-learn's.
 * @see https://jmlr.org/papers/v9/vandermaaten08a.html
 */
import { Rng } from "@deplsr/tensor";
import { dot, principalComponents } from "./pca.ts";

/** How the plane is found. */
export interface TsneOptions {
  /** About how many neighbours a point has. */
  readonly perplexity: number;
  /** Of the noise that parts points that are equal. */
  readonly seed: number;
  /** Default 1000. */
  readonly iterations?: number;
  /** Told after each iteration. */
  readonly onIteration?: (done: number) => void;
}

/** Similarities are so many times too large at first, which gathers clusters, for so many iterations. */
const EXAGGERATION = 12;
const EXAGGERATED = 250;
const ITERATIONS = 1000;
/** Deviation of the start along its first axis. */
const START = 1e-4;
const LEAST_GAIN = 0.01;
const LEAST_GRADIENT = 1e-7;
const TINY = 2.220446049250313e-16;

/** Points below which a perplexity means nothing. */
export function leastPoints(perplexity: number): number {
  return Math.ceil(3 * perplexity) + 1;
}

/** Points of many dimensions → positions `[x, y]` on a plane; the same for the same points and seed. */
export function tsne(points: readonly ArrayLike<number>[], options: TsneOptions): [x: number, y: number][] {
  const n = points.length;
  const { iterations = ITERATIONS, onIteration } = options;
  const similar = similarities(points, options.perplexity);
  const y = startOf(points, options.seed); // 2n: x0, y0, x1, ...
  const rate = Math.max(n / EXAGGERATION / 4, 50);
  const step = new Float64Array(2 * n);
  const gains = new Float64Array(2 * n).fill(1);
  const gradient = new Float64Array(2 * n);
  const near = new Float64Array(n * n);
  for (let iteration = 0; iteration < iterations; iteration++) {
    const early = iteration < EXAGGERATED;
    gradientOf(y, similar, early ? EXAGGERATION : 1, gradient, near);
    const momentum = early ? 0.5 : 0.8;
    for (let i = 0; i < 2 * n; i++) {
      // A step that goes on in its direction grows, one that turns shrinks.
      const gain = step[i]! * gradient[i]! < 0 ? gains[i]! + 0.2 : gains[i]! * 0.8;
      gains[i] = Math.max(gain, LEAST_GAIN);
      step[i] = momentum * step[i]! - rate * gains[i]! * gradient[i]!;
      y[i] = y[i]! + step[i]!;
    }
    onIteration?.(iteration + 1);
    if (!early && Math.sqrt(dot(gradient, gradient)) < LEAST_GRADIENT) break;
  }
  return Array.from({ length: n }, (_, i) => [y[2 * i]!, y[2 * i + 1]!]);
}

/** The gradient of the divergence of the plane's similarities from `similar`. @param near room for n² values */
function gradientOf(
  y: Float64Array,
  similar: Float64Array,
  factor: number,
  out: Float64Array,
  near: Float64Array,
): void {
  const n = y.length / 2;
  let total = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const [dx, dy] = [y[2 * i]! - y[2 * j]!, y[2 * i + 1]! - y[2 * j + 1]!];
      const value = 1 / (1 + dx * dx + dy * dy);
      near[i * n + j] = value;
      total += 2 * value;
    }
  }
  out.fill(0);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const value = near[i * n + j]!;
      const force = 4 * (factor * similar[i * n + j]! - Math.max(value / total, TINY)) * value;
      const [dx, dy] = [force * (y[2 * i]! - y[2 * j]!), force * (y[2 * i + 1]! - y[2 * j + 1]!)];
      out[2 * i] = out[2 * i]! + dx;
      out[2 * i + 1] = out[2 * i + 1]! + dy;
      out[2 * j] = out[2 * j]! - dx;
      out[2 * j + 1] = out[2 * j + 1]! - dy;
    }
  }
}

/** The first two principal components, small, with a thousandth of noise. */
function startOf(points: readonly ArrayLike<number>[], seed: number): Float64Array {
  const { scores, variance } = principalComponents(points, 2);
  const deviation = Math.sqrt(variance[0] ?? 1);
  const rng = new Rng(seed).fork("start of t-SNE");
  const y = new Float64Array(2 * points.length);
  for (let i = 0; i < y.length; i++) {
    const score = scores[i >> 1]![i & 1] ?? 0;
    y[i] = START * (score / deviation + 1e-3 * rng.normal());
  }
  return y;
}

/** How likely points choose each other for neighbours: n · n values, symmetric, of sum 1. */
export function similarities(points: readonly ArrayLike<number>[], perplexity: number): Float64Array {
  const n = points.length;
  const distances = squaredDistances(points);
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = neighbourShares(distances.subarray(i * n, (i + 1) * n), i, perplexity);
    for (let j = 0; j < n; j++) {
      result[i * n + j] = result[i * n + j]! + row[j]! / (2 * n);
      result[j * n + i] = result[j * n + i]! + row[j]! / (2 * n);
    }
  }
  return result.map((value) => Math.max(value, TINY));
}

/** A gaussian of the distances from point `self`, as wide as makes its entropy that of `perplexity` equal neighbours: by bisection. */
function neighbourShares(distances: Float64Array, self: number, perplexity: number): Float64Array {
  const wanted = Math.log(perplexity);
  const nearest = distances.reduce(
    (least, value, j) => (j === self ? least : Math.min(least, value)),
    Number.POSITIVE_INFINITY,
  );
  const shares = new Float64Array(distances.length);
  let [low, high, precision] = [0, Number.POSITIVE_INFINITY, 1];
  for (let attempt = 0; attempt < 100; attempt++) {
    let [sum, weighted] = [0, 0];
    for (let j = 0; j < distances.length; j++) {
      // The nearest one has the value 1: something is left of the sum, however far all are.
      const beyond = distances[j]! - nearest;
      shares[j] = j === self ? 0 : Math.exp(-precision * beyond);
      sum += shares[j]!;
      weighted += shares[j]! * beyond;
    }
    for (let j = 0; j < shares.length; j++) shares[j] = shares[j]! / sum;
    const excess = Math.log(sum) + (precision * weighted) / sum - wanted;
    if (Math.abs(excess) < 1e-5) break;
    if (excess > 0) low = precision;
    else high = precision;
    precision = high === Number.POSITIVE_INFINITY ? precision * 2 : (low + high) / 2;
  }
  return shares;
}

function squaredDistances(points: readonly ArrayLike<number>[]): Float64Array {
  const n = points.length;
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [points[i]!, points[j]!];
      let sum = 0;
      for (let k = 0; k < a.length; k++) sum += (a[k]! - b[k]!) ** 2;
      result[i * n + j] = sum;
      result[j * n + i] = sum;
    }
  }
  return result;
}
