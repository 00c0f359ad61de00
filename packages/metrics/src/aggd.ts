/** Asymmetric generalised Gaussian distributions (AGGD), the shapes that NIQE measures. */

/** A fitted distribution around 0. */
export interface Aggd {
  /** Shape: 1 is Laplacian, 2 Gaussian. */
  readonly alpha: number;
  /** Scale of the negative side; NaN when no sample is negative. */
  readonly left: number;
  /** Scale of the positive side; NaN when no sample is positive. */
  readonly right: number;
}

/** The shapes that a fit chooses from, and `Γ(2/α)² / (Γ(1/α) Γ(3/α))` of each, which rises with α. */
export interface AggdShapes {
  readonly alphas: Float64Array;
  readonly ratios: Float64Array;
}

/** 0.2 to 10 in steps of 0.001, made exact by `round` (the reference implementations differ in precision). */
export function aggdShapes(round: (alpha: number) => number = (alpha) => alpha): AggdShapes {
  const alphas = Float64Array.from({ length: 9801 }, (_, i) => round(0.2 + 0.001 * i));
  return { alphas, ratios: alphas.map((alpha) => gamma(2 / alpha) ** 2 / (gamma(1 / alpha) * gamma(3 / alpha))) };
}

/**
 * Fits a distribution to samples by matching moments.
 *
 * @see Lasmar, Stitou, Berthoumieu 2009, "Multiscale skewed heavy tailed model for texture analysis"
 */
export function fitAggd(samples: Float64Array, { alphas, ratios }: AggdShapes): Aggd {
  let [negative, positive, leftSquares, rightSquares, sum] = [0, 0, 0, 0, 0];
  for (const sample of samples) {
    if (sample < 0) {
      negative += 1;
      leftSquares += sample * sample;
      sum -= sample;
    } else if (sample > 0) {
      positive += 1;
      rightSquares += sample * sample;
      sum += sample;
    }
  }
  const left = Math.sqrt(leftSquares / negative);
  const right = Math.sqrt(rightSquares / positive);
  const skew = left / right;
  const ratio = (sum / samples.length) ** 2 / ((leftSquares + rightSquares) / samples.length);
  const alpha = alphas[nearest(ratios, (ratio * (skew ** 3 + 1) * (skew + 1)) / (skew ** 2 + 1) ** 2)]!;
  const scale = Math.sqrt(gamma(1 / alpha) / gamma(3 / alpha));
  return { alpha, left: left * scale, right: right * scale };
}

/** Index of the entry of rising values that is nearest to `value`, the lower of two; 0 for NaN, as in the reference. */
function nearest(values: Float64Array, value: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - values[low - 1]! <= values[low]! - value ? low - 1 : low;
}

/** Lanczos' coefficients for g = 7 with nine terms (P. Godfrey). */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** Γ(x) for x > 0, to about 1e-14. */
export function gamma(x: number): number {
  const series = LANCZOS.reduce((sum, coefficient, i) => sum + (i === 0 ? coefficient : coefficient / (x + i - 1)), 0);
  const t = x + 6.5;
  return Math.sqrt(2 * Math.PI) * t ** (x - 0.5) * Math.exp(-t) * series;
}
