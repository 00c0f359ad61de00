import { symmetricEigen } from "./eigen.ts";
import type { Image } from "./image.ts";
import { analyzeNiqe, NIQE_BLOCK, NIQE_FEATURES, type NiqeOptions } from "./niqe-features.ts";

/** Natural photographs as NIQE knows them: the Gaussian of the features of their sharp blocks. */
export interface NiqeModel {
  /** Tells models apart in reports: scores by different models cannot be compared. */
  readonly label: string;
  /** 36 numbers. */
  readonly mean: ArrayLike<number>;
  /** (36, 36), row by row. */
  readonly covariance: ArrayLike<number>;
  /** (7, 7), row by row: the Gaussian window to the last bit of whoever measured, which matters where an image is flat. */
  readonly window?: ArrayLike<number>;
}

/**
 * Natural image quality evaluator: how far the statistics of an image are from those of natural photographs; about 0 … 100, lower is
 * better, 3 … 5 for good photographs. Needs no reference.
 *
 * @throws RangeError for an image without two blocks of 96 x 96 pixels that have texture (one in pyiqa's form)
 * @see Mittal, Soundararajan, Bovik 2013, "Making a 'completely blind' image quality analyzer"
 */
export function niqe(image: Image, model: NiqeModel, options: NiqeOptions = {}): number {
  const pyiqa = options.form === "pyiqa";
  // pyiqa computes the window by itself.
  const { features, luma } = analyzeNiqe(image, options, pyiqa ? undefined : model.window);
  const { mean, covariance, whole } = featureGaussian(features);
  const fewest = pyiqa ? 1 : 2;
  if (whole < fewest) {
    throw new RangeError(
      `niqe: ${luma.width} x ${luma.height} pixels hold ${whole} blocks of ${NIQE_BLOCK} x ${NIQE_BLOCK} with texture, but ${fewest} are needed`,
    );
  }
  const difference = mean.map((value, i) => model.mean[i]! - value);
  const average = covariance.map((value, i) => (model.covariance[i]! + value) / 2);
  return Math.sqrt(inverseForm(average, difference, pyiqa ? NIQE_FEATURES * Number.EPSILON : 1e-15));
}

/**
 * Fits a model to the features of pristine photographs.
 *
 * @param features of all of them, see `pristineFeatures`
 * @throws RangeError for fewer than 37 blocks, which cannot span the features
 */
export function fitNiqe(features: readonly Float64Array[], label: string): NiqeModel {
  const { mean, covariance, whole } = featureGaussian(features);
  if (whole <= NIQE_FEATURES) {
    throw new RangeError(
      `niqe: ${whole} sharp blocks cannot tell what is natural, more than ${NIQE_FEATURES} are needed`,
    );
  }
  return { label, mean, covariance };
}

/**
 * What a photograph adds to a model: the features of its sharp blocks, those with more than 0.75 of the contrast of its sharpest. Of luma
 * in full range, like the published model.
 */
export function pristineFeatures(photograph: Image): Float64Array[] {
  const { features, sharpness } = analyzeNiqe(photograph, { form: "pyiqa" });
  const sharpest = sharpness.reduce((largest, value) => Math.max(largest, value), 0);
  return features.filter((_, i) => sharpness[i]! > 0.75 * sharpest);
}

/** Mean of each feature over the blocks where it is a number; covariance (N - 1) over the `whole` blocks where all are, 0 for a single one. */
function featureGaussian(features: readonly Float64Array[]): {
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
  readonly whole: number;
} {
  const meanOf = (blocks: readonly Float64Array[]): Float64Array =>
    Float64Array.from({ length: NIQE_FEATURES }, (_, i) => {
      const numbers = blocks.map((block) => block[i]!).filter((value) => !Number.isNaN(value));
      return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    });
  const blocks = features.filter((block) => !block.some(Number.isNaN));
  const centre = meanOf(blocks);
  const covariance = Float64Array.from({ length: NIQE_FEATURES ** 2 }, (_, at) => {
    const [i, j] = [Math.floor(at / NIQE_FEATURES), at % NIQE_FEATURES];
    const sum = blocks.reduce((total, block) => total + (block[i]! - centre[i]!) * (block[j]! - centre[j]!), 0);
    return sum / Math.max(1, blocks.length - 1);
  });
  return { mean: meanOf(features), covariance, whole: blocks.length };
}

/** `vᵀ M⁺ v` for a symmetric M: in its pseudo-inverse, eigenvalues below `rank` of the largest count as 0. */
function inverseForm(matrix: Float64Array, vector: Float64Array, rank: number): number {
  const { values, vectors } = symmetricEigen(matrix, vector.length);
  const least = rank * values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return values.reduce((sum, value, k) => {
    if (Math.abs(value) <= least) return sum;
    const along = vectors[k]!.reduce((product, component, i) => product + component * vector[i]!, 0);
    return sum + along ** 2 / value;
  }, 0);
}
