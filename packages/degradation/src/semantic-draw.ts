/**
 * Drawing the parameters of the semantic-driven synthesis (spec: degradation, section 6). One seed decides everything about an image, and all
 * of it is plain JSON: what has been drawn can be stored beside the image and applied again.
 */
import { Rng } from "@deplsr/tensor";
import { type Augmentation, drawAugmentation } from "./augment.ts";
import { type BlurKernelType, type BlurOptions, checkBlur, drawBlur, drawSinc } from "./blur-draw.ts";
import type { BlurKernelSpec } from "./blur-kernel.ts";
import type { DegradationLevels } from "./caption.ts";
import { OptionChecks, type Range, uniform } from "./chance.ts";
import { checkNoise, drawNoise } from "./noise-draw.ts";

/** Options of the semantic-driven synthesis, by the names of DePLSR's `options/train_srclip.yml`. */
export interface SemanticOptions {
  /** Families of the first blur and their probabilities, which sum to 1. */
  readonly kernelList: readonly BlurKernelType[];
  readonly kernelProb: readonly number[];
  /** Probability that the first blur is a sinc filter instead. */
  readonly sincProb: number;
  /** Grid of the blurs' standard deviation in pixels: lower end, upper end (exclusive), step. */
  readonly blurSigma: readonly [low: number, high: number, step: number];
  /** The largest kernel in pixels, odd; the final sinc filter is drawn up to this size. */
  readonly blurKernelSize: number;
  /** Exponents of the generalised and of the plateau kernels, on both sides of 1. */
  readonly betagRange: Range;
  readonly betapRange: Range;
  /** The same of the second blur. */
  readonly kernelList2: readonly BlurKernelType[];
  readonly kernelProb2: readonly number[];
  readonly sincProb2: number;
  readonly betagRange2: Range;
  readonly betapRange2: Range;
  /** Not used, as in the original: the second blur has the standard deviation of the first, and its kernel's size follows from that. */
  readonly blurSigma2: Range;
  readonly blurKernelSize2: number;
  /** Probability of Gaussian noise; else it is Poisson noise. */
  readonly gaussianNoiseProb: number;
  /** Standard deviation of the Gaussian noise in steps of 255. */
  readonly noiseRange: Range;
  /** Not used, as in the original: it is what `gaussianNoiseProb` leaves. */
  readonly poissonNoiseProb: number;
  readonly poissonScaleRange: Range;
  /** JPEG quality factors, above 0 and at most 99. */
  readonly jpegRange: Range;
  /** Probability of the sinc filter after the compression. */
  readonly finalSincProb: number;
  /** Side of the resulting image in pixels. */
  readonly lqSize: number;
  /** Widen the filter of the final resizing where the image shrinks, which the original does not. */
  readonly antialias: boolean;
  readonly useHflip: boolean;
  /** Vertical flips and transposition. */
  readonly useRot: boolean;
}

/** The values of `options/train_srclip.yml`, and what its code does. */
export const SEMANTIC_OPTIONS: SemanticOptions = {
  kernelList: ["iso", "aniso"],
  kernelProb: [0.5, 0.5],
  sincProb: 0,
  blurSigma: [0, 3, 0.1],
  blurKernelSize: 21,
  betagRange: [0.5, 4],
  betapRange: [1, 2],
  kernelList2: ["iso", "aniso"],
  kernelProb2: [0.5, 0.5],
  sincProb2: 0,
  betagRange2: [0.5, 4],
  betapRange2: [1, 2],
  blurSigma2: [0, 3],
  blurKernelSize2: 21,
  gaussianNoiseProb: 0.5,
  noiseRange: [0, 30],
  poissonNoiseProb: 0.5,
  poissonScaleRange: [0, 3],
  jpegRange: [30, 95],
  finalSincProb: 0.2,
  lqSize: 224,
  antialias: false,
  useHflip: false,
  useRot: false,
};

/** Everything that was drawn for one image; plain JSON. */
export interface SemanticDraw {
  /** Also the seed of the noise fields, which are drawn where the images are. */
  readonly seed: number;
  readonly augment: Augmentation;
  readonly blurSigma: number;
  /** The kernels of both stages. */
  readonly kernels: readonly [BlurKernelSpec, BlurKernelSpec];
  readonly noise: NonNullable<DegradationLevels["noise"]>;
  readonly quality: number;
  readonly sinc: BlurKernelSpec | null;
  readonly lqSize: number;
  readonly antialias: boolean;
}

/**
 * Draws the parameters of one image.
 *
 * Both stages share the blur's standard deviation and the noise's kind and level, as in the reference. Its anisotropic kernels have
 * equal spreads along both axes, so they are isotropic; they are kept, for the options' sake.
 *
 * @throws RangeError of one line for options that do not fit together
 */
export function drawSemantic(seed: number, options: SemanticOptions = SEMANTIC_OPTIONS): SemanticDraw {
  checkOptions(options);
  const rng = new Rng(seed);
  const augment = drawAugmentation(rng, options);
  const grid = sigmaGrid(options.blurSigma);
  const blurSigma = grid[rng.integer(grid.length)]!;
  const size = kernelSize(blurSigma);
  const sigma = [blurSigma, blurSigma] as const;
  const kernels = [drawBlur(rng, size, sigma, options), drawBlur(rng, size, sigma, secondBlur(options))] as const;
  const noise = drawNoise(rng, options);
  const quality = uniform(rng, options.jpegRange);
  const sinc = rng.uniform() < options.finalSincProb ? drawSinc(rng, options.blurKernelSize) : null;
  const { lqSize, antialias } = options;
  return { seed, augment, blurSigma, kernels, noise, quality, sinc, lqSize, antialias };
}

/** What the caption of a draw tells. */
export function levelsOf(draw: SemanticDraw): DegradationLevels {
  return { blurSigma: draw.blurSigma, noise: draw.noise, quality: draw.quality, ringing: draw.sinc !== null };
}

/** The blur's standard deviations: `low`, `low + step`, ... below `high`. */
export function sigmaGrid([low, high, step]: SemanticOptions["blurSigma"]): number[] {
  // The step is a decimal fraction that binary numbers miss by a little: neither count nor values may follow that error.
  const count = Math.ceil((high - low) / step - 1e-9);
  return Array.from({ length: count }, (_, i) => Number((low + i * step).toFixed(10)));
}

/** Pixels that a Gaussian of this standard deviation is cut to: three on each side. */
export function kernelSize(sigma: number): number {
  return 2 * Math.ceil(3 * sigma) + 1;
}

function secondBlur(options: SemanticOptions): BlurOptions {
  return {
    kernelList: options.kernelList2,
    kernelProb: options.kernelProb2,
    sincProb: options.sincProb2,
    betagRange: options.betagRange2,
    betapRange: options.betapRange2,
  };
}

function checkOptions(options: SemanticOptions): void {
  const checks = new OptionChecks("drawSemantic");
  checkBlur(checks, options);
  checkBlur(checks, secondBlur(options), "2");
  const { blurSigma } = options;
  const [low, high, step] = blurSigma;
  checks.that(0 <= low && low < high && step > 0, "blurSigma", blurSigma, "lower end, upper end and a positive step");
  checks.odd("blurKernelSize", options.blurKernelSize, Math.max(7, kernelSize(sigmaGrid(blurSigma).at(-1)!)));
  checkNoise(checks, options);
  checks.quality("jpegRange", options.jpegRange);
  checks.probability("finalSincProb", options.finalSincProb);
  checks.count("lqSize", options.lqSize);
}
