/** Drawing the parameters of the second-order synthesis (spec: degradation, section 8; Real-ESRGAN, arXiv 2107.10833). */
import { Rng } from "@deplsr/tensor";
import { type Augmentation, drawAugmentation } from "./augment.ts";
import { type BlurOptions, checkBlur, drawBlur, drawKernelSize, drawSinc } from "./blur-draw.ts";
import type { BlurKernelSpec } from "./blur-kernel.ts";
import { choose, OptionChecks, type Range, uniform } from "./chance.ts";
import { checkNoise, drawNoise, type NoiseDraw, type NoiseDrawOptions } from "./noise-draw.ts";
import type { ResizeMode } from "./resize.ts";
import { USM_RADIUS } from "./usm.ts";

/** What one of the two stages is drawn from. */
export interface StageOptions extends BlurOptions, NoiseDrawOptions {
  /** Kernels have odd sizes from 7 to this one, in pixels. */
  readonly blurKernelSize: number;
  /** Standard deviations of the blur in pixels, along each axis. */
  readonly blurSigma: Range;
  /** Probabilities that the image is enlarged, shrunk or kept. */
  readonly resizeProb: readonly number[];
  /** Smallest and largest factor, on both sides of 1. */
  readonly resizeRange: Range;
  /** Probability that the noise is the same in every channel. */
  readonly grayNoiseProb: number;
  /** JPEG quality factors, above 0 and at most 99. */
  readonly jpegRange: Range;
}

/** The options of the second stage: the same names with a 2. */
export type SecondStageOptions = { readonly [Name in keyof StageOptions as `${Name}2`]: StageOptions[Name] };

/** Options of the second-order synthesis, by the names of Real-ESRGAN's `train_realesrgan_x4plus.yml`. */
export interface SecondOrderOptions extends StageOptions, SecondStageOptions {
  /** How many times smaller the results are. */
  readonly scale: number;
  readonly secondBlurProb: number;
  /** Probability of the sinc filter at the end. */
  readonly finalSincProb: number;
  /** Side of the square that is cut out of an image after it was degraded, in pixels of the original; null for the whole image. */
  readonly gtSize: number | null;
  /** Pairs that a `TrainingPairPool` holds: a multiple of the batch. */
  readonly queueSize: number;
  readonly useHflip: boolean;
  /** Vertical flips and transposition. */
  readonly useRot: boolean;
}

const KERNELS = {
  kernelList: ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"],
  kernelProb: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
} as const;

/**
 * The values of `train_realesrgan_x4plus.yml`, which are those of x2 but for `scale`. A data set of whole images, as DePLSR's offline
 * synthesis makes it, has `gtSize: null` and `useHflip: false`.
 */
export const SECOND_ORDER_OPTIONS: SecondOrderOptions = {
  scale: 4,
  blurKernelSize: 21,
  ...KERNELS,
  sincProb: 0.1,
  blurSigma: [0.2, 3],
  betagRange: [0.5, 4],
  betapRange: [1, 2],
  resizeProb: [0.2, 0.7, 0.1],
  resizeRange: [0.15, 1.5],
  gaussianNoiseProb: 0.5,
  noiseRange: [1, 30],
  poissonScaleRange: [0.05, 3],
  grayNoiseProb: 0.4,
  jpegRange: [30, 95],
  secondBlurProb: 0.8,
  blurKernelSize2: 21,
  kernelList2: KERNELS.kernelList,
  kernelProb2: KERNELS.kernelProb,
  sincProb2: 0.1,
  blurSigma2: [0.2, 1.5],
  betagRange2: [0.5, 4],
  betapRange2: [1, 2],
  resizeProb2: [0.3, 0.4, 0.3],
  resizeRange2: [0.3, 1.2],
  gaussianNoiseProb2: 0.5,
  noiseRange2: [1, 25],
  poissonScaleRange2: [0.05, 2.5],
  grayNoiseProb2: 0.4,
  jpegRange2: [30, 95],
  finalSincProb: 0.8,
  gtSize: 256,
  queueSize: 180,
  useHflip: true,
  useRot: false,
};

/** A change of size. */
export interface ResizeDraw {
  /** Of the stage's own image in the first stage, of the final size in the second one. */
  readonly factor: number;
  readonly mode: ResizeMode;
}

/** What was drawn for one stage. */
export interface StageDraw {
  /** Null for none. */
  readonly blur: BlurKernelSpec | null;
  readonly resize: ResizeDraw;
  readonly noise: NoiseDraw;
  /** JPEG quality factor. */
  readonly quality: number;
}

/** Everything that was drawn for one image; plain JSON. */
export interface SecondOrderDraw {
  /** Seed of the noise fields, which are drawn where the images are. */
  readonly seed: number;
  readonly scale: number;
  readonly augment: Augmentation;
  readonly stages: readonly [StageDraw, StageDraw];
  /** Whether the second compression comes before the image is brought to its final size and filtered, or after that. */
  readonly jpegFirst: boolean;
  /** How the image is brought to its final size. */
  readonly mode: ResizeMode;
  /** The filter at the end; null for none. */
  readonly sinc: BlurKernelSpec | null;
  /** The square that is cut out, `size` pixels of the original; its place as a share of the room there is. Null for the whole image. */
  readonly crop: { readonly size: number; readonly top: number; readonly left: number } | null;
}

/**
 * Draws the parameters of a batch of `count` images. They share the factors and modes of resizing and the order of the final steps, so that
 * they keep one size all along, as in the reference; everything else is drawn for each. The draw of an image does not depend on `count`:
 * batches of 1 with a seed each share nothing.
 *
 * @throws RangeError of one line for options that do not fit together
 */
export function drawSecondOrder(
  seed: number,
  count: number,
  options: SecondOrderOptions = SECOND_ORDER_OPTIONS,
): SecondOrderDraw[] {
  const [first, second] = checkOptions("drawSecondOrder", options);
  const root = new Rng(seed);
  const shared = root.fork("batch");
  const resizes = [drawResize(shared, first), drawResize(shared, second)] as const;
  const jpegFirst = shared.uniform() < 0.5;
  const mode = drawMode(shared);
  const { scale, secondBlurProb, finalSincProb, gtSize } = options;
  return Array.from({ length: count }, (_, i) => {
    const rng = root.fork(i);
    return {
      seed: rng.integer(2 ** 32),
      scale,
      augment: drawAugmentation(rng, options),
      stages: [drawStage(rng, first, 1, resizes[0]), drawStage(rng, second, secondBlurProb, resizes[1])],
      jpegFirst,
      mode,
      sinc: rng.uniform() < finalSincProb ? drawSinc(rng, first.blurKernelSize) : null,
      crop: gtSize === null ? null : { size: gtSize, top: rng.uniform(), left: rng.uniform() },
    };
  });
}

/**
 * The smallest side, in pixels, of an image that every draw from these options fits: kernels mirror half of themselves at the borders, after
 * the image has been shrunk.
 *
 * @throws RangeError of one line for options that do not fit together
 */
export function smallestSide(options: SecondOrderOptions = SECOND_ORDER_OPTIONS): number {
  const [first, second] = checkOptions("smallestSide", options);
  const room = (kernelSize: number): number => (kernelSize + 1) / 2;
  const side = Math.max(room(USM_RADIUS), room(first.blurKernelSize), options.gtSize ?? 0);
  const shrunk = room(second.blurKernelSize) / first.resizeRange[0];
  const final = Math.max(room(first.blurKernelSize), 1 / second.resizeRange[0]);
  // Images are cut to multiples of the scale.
  return options.scale * Math.ceil(Math.max(side / options.scale, shrunk / options.scale, final));
}

function drawStage(rng: Rng, options: StageOptions, blurProb: number, resize: ResizeDraw): StageDraw {
  const size = drawKernelSize(rng, options.blurKernelSize);
  const kernel = drawBlur(rng, size, options.blurSigma, options);
  return {
    blur: rng.uniform() < blurProb ? kernel : null,
    resize,
    noise: { ...drawNoise(rng, options), gray: rng.uniform() < options.grayNoiseProb },
    quality: uniform(rng, options.jpegRange),
  };
}

function drawResize(rng: Rng, { resizeProb, resizeRange: [low, high] }: StageOptions): ResizeDraw {
  const range = choose<Range>(
    rng,
    [
      [1, high],
      [low, 1],
      [1, 1],
    ],
    resizeProb,
  );
  return { factor: uniform(rng, range), mode: drawMode(rng) };
}

function drawMode(rng: Rng): ResizeMode {
  return (["area", "bilinear", "bicubic"] as const)[rng.integer(3)]!;
}

/** The options of one stage. */
function stageOptions(options: SecondOrderOptions, suffix: "" | "2"): StageOptions {
  return {
    blurKernelSize: options[`blurKernelSize${suffix}`],
    kernelList: options[`kernelList${suffix}`],
    kernelProb: options[`kernelProb${suffix}`],
    sincProb: options[`sincProb${suffix}`],
    blurSigma: options[`blurSigma${suffix}`],
    betagRange: options[`betagRange${suffix}`],
    betapRange: options[`betapRange${suffix}`],
    resizeProb: options[`resizeProb${suffix}`],
    resizeRange: options[`resizeRange${suffix}`],
    gaussianNoiseProb: options[`gaussianNoiseProb${suffix}`],
    noiseRange: options[`noiseRange${suffix}`],
    poissonScaleRange: options[`poissonScaleRange${suffix}`],
    grayNoiseProb: options[`grayNoiseProb${suffix}`],
    jpegRange: options[`jpegRange${suffix}`],
  };
}

/** Checks the options and tells those of each stage. */
function checkOptions(where: string, options: SecondOrderOptions): readonly [StageOptions, StageOptions] {
  const checks = new OptionChecks(where);
  const { scale, gtSize } = options;
  const stages = (["", "2"] as const).map((suffix) => {
    const stage = stageOptions(options, suffix);
    checkBlur(checks, stage, suffix);
    checkNoise(checks, stage, suffix);
    checks.odd(`blurKernelSize${suffix}`, stage.blurKernelSize, 7);
    checks.range(`blurSigma${suffix}`, stage.blurSigma);
    checks.shares(`resizeProb${suffix}`, stage.resizeProb, 3);
    checks.around(`resizeRange${suffix}`, stage.resizeRange, 1);
    checks.probability(`grayNoiseProb${suffix}`, stage.grayNoiseProb);
    checks.quality(`jpegRange${suffix}`, stage.jpegRange);
    return stage;
  });
  checks.count("scale", scale);
  checks.probability("secondBlurProb", options.secondBlurProb);
  checks.probability("finalSincProb", options.finalSincProb);
  checks.count("queueSize", options.queueSize);
  if (gtSize !== null) {
    checks.that(Number.isInteger(gtSize / scale) && gtSize > 0, "gtSize", gtSize, `a multiple of the scale ${scale}`);
  }
  return stages as [StageOptions, StageOptions];
}
