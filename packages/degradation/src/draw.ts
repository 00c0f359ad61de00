/**
 * Drawing the parameters of degradations. One seed decides everything about an image, and all of it is plain JSON: what has been drawn
 * can be stored beside the image and applied again. Nothing else in this package is random.
 */
import { Rng } from "@deplsr/tensor";
import type { BlurKernelSpec } from "./blur-kernel.ts";
import type { DegradationLevels } from "./caption.ts";

/** The families of blur kernels, without the sinc filter, which is drawn by a probability of its own. */
export type BlurKernelType = Exclude<BlurKernelSpec["type"], "sinc">;

/** Both ends of a uniform distribution. */
export type Range = readonly [low: number, high: number];

/** Options of the semantic-driven synthesis (DePLSR, `options/train_srclip.yml`; spec: degradation, section 6). */
export interface SemanticOptions {
  /** Families of the blur and their probabilities, which sum to 1. */
  readonly kernelList: readonly BlurKernelType[];
  readonly kernelProb: readonly number[];
  /** Probability that a blur is a sinc filter instead: of the first and of the second one. */
  readonly sincProb: number;
  readonly sincProb2: number;
  /** Grid of the blur's standard deviation in pixels: lower end, upper end (exclusive), step. */
  readonly blurSigma: readonly [low: number, high: number, step: number];
  /** The largest kernel in pixels, odd; the final sinc filter is drawn up to this size. */
  readonly blurKernelSize: number;
  /** Exponents of the generalised and of the plateau kernels. */
  readonly betagRange: Range;
  readonly betapRange: Range;
  /** Probability of Gaussian noise; else it is Poisson noise. */
  readonly gaussianNoiseProb: number;
  /** Standard deviation of the Gaussian noise in steps of 255. */
  readonly noiseRange: Range;
  readonly poissonScaleRange: Range;
  /** JPEG quality factors, above 0 and at most 99. */
  readonly jpegRange: Range;
  /** Probability of the sinc filter after the compression. */
  readonly finalSincProb: number;
  /** Side of the resulting image in pixels. */
  readonly lqSize: number;
  readonly useHflip: boolean;
  /** Vertical flips and transposition. */
  readonly useRot: boolean;
}

/** The values of `options/train_srclip.yml`. */
export const SEMANTIC_OPTIONS: SemanticOptions = {
  kernelList: ["iso", "aniso"],
  kernelProb: [0.5, 0.5],
  sincProb: 0,
  sincProb2: 0,
  blurSigma: [0, 3, 0.1],
  blurKernelSize: 21,
  betagRange: [0.5, 4],
  betapRange: [1, 2],
  gaussianNoiseProb: 0.5,
  noiseRange: [0, 30],
  poissonScaleRange: [0, 3],
  jpegRange: [30, 95],
  finalSincProb: 0.2,
  lqSize: 224,
  useHflip: false,
  useRot: false,
};

/** Everything that was drawn for one image; plain JSON. */
export interface SemanticDraw {
  /** Also the seed of the noise fields, which are drawn where the images are. */
  readonly seed: number;
  readonly augment: { readonly horizontal: boolean; readonly vertical: boolean; readonly transpose: boolean };
  readonly blurSigma: number;
  /** The kernels of both stages. */
  readonly kernels: readonly [BlurKernelSpec, BlurKernelSpec];
  readonly noise: NonNullable<DegradationLevels["noise"]>;
  readonly quality: number;
  readonly sinc: BlurKernelSpec | null;
  readonly lqSize: number;
}

/**
 * Draws the parameters of one image.
 *
 * Both stages share the blur's standard deviation and the noise's kind and level, as in the reference. Its anisotropic kernels have
 * equal spreads along both axes, so they are isotropic; they are kept, for the options' sake.
 *
 * @throws RangeError for options that do not fit together
 */
export function drawSemantic(seed: number, options: SemanticOptions = SEMANTIC_OPTIONS): SemanticDraw {
  checkOptions(options);
  const rng = new Rng(seed);
  const chance = (probability: number): boolean => rng.uniform() < probability;
  const augment = {
    horizontal: chance(options.useHflip ? 0.5 : 0),
    vertical: chance(options.useRot ? 0.5 : 0),
    transpose: chance(options.useRot ? 0.5 : 0),
  };
  const grid = sigmaGrid(options.blurSigma);
  const blurSigma = grid[rng.integer(grid.length)]!;
  const size = kernelSize(blurSigma);
  const kernel = (sincProb: number): BlurKernelSpec =>
    chance(sincProb)
      ? { type: "sinc", size, cutoff: uniform(rng, [size < 13 ? Math.PI / 3 : Math.PI / 5, Math.PI]) }
      : drawBlurKernel(rng, size, { ...options, sigmaX: [blurSigma, blurSigma], sigmaY: [blurSigma, blurSigma] });
  const kernels = [kernel(options.sincProb), kernel(options.sincProb2)] as const;
  const noise = chance(options.gaussianNoiseProb)
    ? ({ type: "gaussian", sigma: uniform(rng, options.noiseRange) } as const)
    : ({ type: "poisson", scale: uniform(rng, options.poissonScaleRange) } as const);
  const quality = uniform(rng, options.jpegRange);
  const sinc = chance(options.finalSincProb) ? drawSinc(rng, options.blurKernelSize) : null;
  return { seed, augment, blurSigma, kernels, noise, quality, sinc, lqSize: options.lqSize };
}

/** What the caption of a draw tells. */
export function levelsOf(draw: SemanticDraw): DegradationLevels {
  return { blurSigma: draw.blurSigma, noise: draw.noise, quality: draw.quality, ringing: draw.sinc !== null };
}

/** What a blur kernel is drawn from. Both sigmas are used by the anisotropic families, the first one by the others. */
export interface BlurKernelOptions {
  readonly kernelList: readonly BlurKernelType[];
  readonly kernelProb: readonly number[];
  readonly sigmaX: Range;
  readonly sigmaY: Range;
  readonly betagRange: Range;
  readonly betapRange: Range;
}

/** Draws a kernel of `size` pixels: family, spreads, rotation in [−π, π), exponent (below 1 or above 1 with equal chances). */
export function drawBlurKernel(rng: Rng, size: number, options: BlurKernelOptions): BlurKernelSpec {
  const type = drawWeighted(rng, options.kernelList, options.kernelProb);
  const sigma = uniform(rng, options.sigmaX);
  const beta = (range: Range): number => uniform(rng, rng.uniform() < 0.5 ? [range[0], 1] : [1, range[1]]);
  if (type === "iso") return { type, size, sigma };
  if (type === "generalized_iso") return { type, size, sigma, beta: beta(options.betagRange) };
  if (type === "plateau_iso") return { type, size, sigma, beta: beta(options.betapRange) };
  const spread = {
    size,
    sigmaX: sigma,
    sigmaY: uniform(rng, options.sigmaY),
    theta: uniform(rng, [-Math.PI, Math.PI]),
  };
  if (type === "aniso") return { type, ...spread };
  return { type, ...spread, beta: beta(type === "plateau_aniso" ? options.betapRange : options.betagRange) };
}

/** Draws the sinc filter that follows the compression: an odd size from 7 to `largest`, a cutoff in [π/3, π). */
export function drawSinc(rng: Rng, largest: number): BlurKernelSpec {
  const size = 7 + 2 * rng.integer((largest - 7) / 2 + 1);
  return { type: "sinc", size, cutoff: uniform(rng, [Math.PI / 3, Math.PI]) };
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

function uniform(rng: Rng, [low, high]: Range): number {
  return low + (high - low) * rng.uniform();
}

function drawWeighted<Item>(rng: Rng, items: readonly Item[], probabilities: readonly number[]): Item {
  let rest = rng.uniform();
  for (let i = 0; i < items.length - 1; i++) {
    rest -= probabilities[i]!;
    if (rest < 0) return items[i]!;
  }
  return items.at(-1)!;
}

function checkOptions(options: SemanticOptions): void {
  const { kernelList, kernelProb, blurSigma, blurKernelSize, jpegRange, lqSize } = options;
  const total = kernelProb.reduce((sum, probability) => sum + probability, 0);
  if (kernelList.length === 0 || kernelList.length !== kernelProb.length || Math.abs(total - 1) > 1e-6) {
    throw new RangeError(
      `drawSemantic: kernelProb [${kernelProb.join(", ")}] must give each kernel of kernelList a share of 1`,
    );
  }
  for (const [name, [low, high]] of Object.entries({
    betagRange: options.betagRange,
    betapRange: options.betapRange,
    noiseRange: options.noiseRange,
    poissonScaleRange: options.poissonScaleRange,
    jpegRange,
  })) {
    if (!(0 <= low && low <= high))
      throw new RangeError(`drawSemantic: ${name} [${low}, ${high}] must be rising and not negative`);
  }
  for (const name of ["sincProb", "sincProb2", "gaussianNoiseProb", "finalSincProb"] as const) {
    if (!(options[name] >= 0 && options[name] <= 1)) {
      throw new RangeError(`drawSemantic: ${name} ${options[name]} must lie between 0 and 1`);
    }
  }
  const [low, high, step] = blurSigma;
  if (!(0 <= low && low < high && step > 0)) {
    throw new RangeError(
      `drawSemantic: blurSigma [${blurSigma.join(", ")}] must be lower end, upper end and a positive step`,
    );
  }
  const largest = kernelSize(sigmaGrid(blurSigma).at(-1)!);
  if (!Number.isInteger(blurKernelSize) || blurKernelSize % 2 === 0 || blurKernelSize < Math.max(7, largest)) {
    throw new RangeError(
      `drawSemantic: blurKernelSize ${blurKernelSize} must be odd and at least ${Math.max(7, largest)}`,
    );
  }
  if (jpegRange[0] <= 0 || jpegRange[1] > 99) {
    throw new RangeError(`drawSemantic: jpegRange [${jpegRange.join(", ")}] must lie above 0 and not above 99`);
  }
  if (!Number.isInteger(lqSize) || lqSize < 1)
    throw new RangeError(`drawSemantic: lqSize ${lqSize} must be a whole number of pixels`);
}
