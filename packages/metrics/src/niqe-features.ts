/** The natural scene statistics of an image that NIQE compares: the shapes of its locally normalised values, block by block. */

import { type AggdShapes, aggdShapes, fitAggd, gamma } from "./aggd.ts";
import { roundHalfToEven } from "./color.ts";
import { gaussianSquare } from "./gaussian-window.ts";
import { comparedPlanes, type Image, type Plane } from "./image.ts";
import { imresize } from "./imresize.ts";

/** Whose NIQE it is: BasicSR's takes luma in studio range, pyiqa's in full range. Their scores differ by up to more than 1. */
export type NiqeForm = "basicsr" | "pyiqa";

/** How NIQE looks at an image. */
export interface NiqeOptions {
  /** Default `basicsr`. */
  readonly form?: NiqeForm;
  /** Pixels that are left out along every side. Default 0. */
  readonly cropBorder?: number;
}

/** What NIQE sees of an image. */
export interface NiqeAnalysis {
  /** Luma in whole numbers, 0 … 255. */
  readonly luma: Plane;
  /** The part of the luma that whole blocks cover, at half its size. */
  readonly half: Plane;
  /** That part at both sizes, without local mean and contrast. */
  readonly normalized: readonly [Plane, Plane];
  /** 36 features of every block, blocks column by column; NaN where the block has no such texture. */
  readonly features: readonly Float64Array[];
  /** The mean contrast of every block. */
  readonly sharpness: readonly number[];
}

/** Numbers for each block: 18 at either size. */
export const NIQE_FEATURES = 36;

/** Side of a block in pixels. */
export const NIQE_BLOCK = 96;

const WINDOW = 7;
const SIGMA = 7 / 6;
const RADIUS = 3;

/** What differs between the forms. */
interface Details {
  readonly channels: "y" | "full range y";
  /** The precision of the statistics at full size. Where an image is flat, it decides what they are. */
  readonly round: (value: number) => number;
  readonly window: ArrayLike<number>;
  readonly shapes: AggdShapes;
  /** Added to local variances. */
  readonly leastVariance: number;
}

const DETAILS: Readonly<Record<NiqeForm, () => Details>> = {
  basicsr: once(() => ({
    channels: "y",
    round: Math.fround,
    window: gaussianSquare(WINDOW, SIGMA),
    shapes: aggdShapes(),
    leastVariance: 0,
  })),
  pyiqa: once(() => ({
    channels: "full range y",
    round: (value) => value,
    window: gaussianSquare(WINDOW, SIGMA).map(Math.fround),
    shapes: aggdShapes(Math.fround),
    leastVariance: Number.EPSILON,
  })),
};

/**
 * Measures an image; one smaller than a block has no features.
 *
 * @param window replaces the Gaussian window, which can be computed to the last bit only
 * @throws RangeError for a border that leaves nothing
 */
export function analyzeNiqe(
  image: Image,
  { form = "basicsr", cropBorder }: NiqeOptions = {},
  window?: ArrayLike<number>,
): NiqeAnalysis {
  const details = { ...DETAILS[form](), ...(window && { window }) };
  const [exact] = comparedPlanes(image, details.channels, cropBorder) as [Plane];
  const luma = { ...exact, data: exact.data.map(roundHalfToEven) };
  const [rows, columns] = [Math.floor(luma.height / NIQE_BLOCK), Math.floor(luma.width / NIQE_BLOCK)];
  const covered = part(luma, 0, 0, columns * NIQE_BLOCK, rows * NIQE_BLOCK);
  const fraction = { ...covered, data: covered.data.map((value) => details.round(value / 255)) };
  const smaller = imresize(fraction, 0.5);
  const half = { ...smaller, data: smaller.data.map((value) => 255 * value) };
  const full = normalize(covered, details);
  // The scores that are known of BasicSR's form come from halves in f64.
  const coarse = normalize(half, { ...details, round: (value) => value });
  const features: Float64Array[] = [];
  const sharpness: number[] = [];
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const block = (plane: Plane, side: number): Plane => part(plane, column * side, row * side, side, side);
      const large = blockFeatures(block(full.normalized, NIQE_BLOCK), details.shapes);
      const small = blockFeatures(block(coarse.normalized, NIQE_BLOCK / 2), details.shapes);
      features.push(Float64Array.of(...large, ...small));
      const contrast = block(full.contrast, NIQE_BLOCK).data;
      sharpness.push(contrast.reduce((sum, value) => sum + value, 0) / contrast.length);
    }
  }
  return { luma, half, normalized: [full.normalized, coarse.normalized], features, sharpness };
}

/** `(x - μ) / (σ + 1)` with mean and contrast σ in the window around each pixel; borders go on with their last pixels. */
function normalize(
  plane: Plane,
  { window, round, leastVariance }: Details,
): { readonly normalized: Plane; readonly contrast: Plane } {
  const { width, height, data } = plane;
  const wide = width + 2 * RADIUS;
  const padded = Float64Array.from({ length: wide * (height + 2 * RADIUS) }, (_, i) => {
    const y = Math.min(height - 1, Math.max(0, Math.floor(i / wide) - RADIUS));
    const x = Math.min(width - 1, Math.max(0, (i % wide) - RADIUS));
    return data[y * width + x]!;
  });
  const offsets = Int32Array.from({ length: WINDOW * WINDOW }, (_, k) => Math.floor(k / WINDOW) * wide + (k % WINDOW));
  const normalized = new Float64Array(data.length);
  const contrast = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const corner = Math.floor(i / width) * wide + (i % width);
    let mean = 0;
    let square = 0;
    for (let k = 0; k < offsets.length; k++) {
      const value = padded[corner + offsets[k]!]!;
      mean += window[k]! * value;
      square += window[k]! * (value * value);
    }
    mean = round(mean);
    const variance = round(round(square) - round(mean * mean));
    contrast[i] = round(Math.sqrt(Math.abs(variance) + leastVariance));
    normalized[i] = round(round(data[i]! - mean) / round(contrast[i]! + 1));
  }
  return { normalized: { ...plane, data: normalized }, contrast: { ...plane, data: contrast } };
}

/** Shape and mean scale of a block's values; then shape, mean and both scales of their products with four neighbours. */
function blockFeatures(block: Plane, shapes: AggdShapes): number[] {
  const { alpha, left, right } = fitAggd(block.data, shapes);
  const products = NEIGHBOURS.flatMap(([dy, dx]) => {
    const fit = fitAggd(timesRolled(block, dy, dx), shapes);
    return [fit.alpha, ((fit.right - fit.left) * gamma(2 / fit.alpha)) / gamma(1 / fit.alpha), fit.left, fit.right];
  });
  return [alpha, (left + right) / 2, ...products];
}

/** (dy, dx): along the rows, the columns and both diagonals. */
const NEIGHBOURS = [
  [0, 1],
  [1, 0],
  [1, 1],
  [1, -1],
] as const;

/** A square block times itself rolled by (dy, dx): what leaves on one side comes back on the other. */
function timesRolled({ width: side, data }: Plane, dy: number, dx: number): Float64Array {
  return data.map((value, i) => {
    const y = (Math.floor(i / side) - dy + side) % side;
    const x = ((i % side) - dx + side) % side;
    return value * data[y * side + x]!;
  });
}

function part({ width, data }: Plane, left: number, top: number, partWidth: number, partHeight: number): Plane {
  const result = new Float64Array(partWidth * partHeight);
  for (let y = 0; y < partHeight; y++) {
    const start = (top + y) * width + left;
    result.set(data.subarray(start, start + partWidth), y * partWidth);
  }
  return { width: partWidth, height: partHeight, data: result };
}

/** Computed when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
