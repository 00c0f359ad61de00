import type { Rng } from "@deplsr/tensor";
import { type ColorJitter, grayscale, jitterColors } from "./color-jitter.ts";
import { checkImage, cropImage, gatherPixels, type PixelImage, type Rectangle, roundHalfEven, toRgb } from "./image.ts";
import { normalizeImage } from "./preprocess.ts";
import { resizeBicubic } from "./resize.ts";

/** What training images go through; every default is the reference's. */
export interface AugmentOptions {
  /** Side of the result in pixels, default 224. */
  readonly size?: number;
  /** Share of the area that a crop covers, default 0.9 to 1. */
  readonly scale?: readonly [number, number];
  /** Width over height of a crop, default 3/4 to 4/3. */
  readonly ratio?: readonly [number, number];
  /** Probability of mirroring left and right, default 0.5. */
  readonly horizontalFlip?: number;
  /** Probability of mirroring top and bottom, default 0.5. */
  readonly verticalFlip?: number;
  /** Largest rotation in degrees either way, default 90. */
  readonly rotation?: number;
  /** Strengths of the changes of colour and the probability that there are any; none by default. */
  readonly colorJitter?: ColorJitter & { readonly probability: number };
  /** Probability of losing all colour, default 0. */
  readonly grayscale?: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** SRCLIP's training transform: random crop, resize, flips, rotation, optional colours, normalise. Planes (3, size, size). */
export function augmentImage(image: PixelImage, rng: Rng, options: AugmentOptions = {}): Float32Array {
  return normalizeImage(augmentPixels(image, rng, options), options.mean, options.std);
}

/** `augmentImage` before the normalisation: 8-bit RGB of size x size pixels. */
export function augmentPixels(image: PixelImage, rng: Rng, options: AugmentOptions = {}): PixelImage {
  checkImage("augmentImage", image);
  const { size = 224, scale = [0.9, 1], ratio = [3 / 4, 4 / 3], rotation = 90 } = options;
  const { horizontalFlip = 0.5, verticalFlip = 0.5, grayscale: gray = 0, colorJitter } = options;
  let result = toRgb(resizeBicubic(cropImage(image, randomCrop(image, rng, scale, ratio)), size, size));
  if (rng.uniform() < horizontalFlip) result = mirror(result, true);
  if (rng.uniform() < verticalFlip) result = mirror(result, false);
  if (rotation > 0) result = rotateImage(result, rotation * (2 * rng.uniform() - 1));
  if (colorJitter && rng.uniform() < colorJitter.probability) result = jitterColors(result, colorJitter, rng);
  if (gray > 0 && rng.uniform() < gray) result = grayscale(result);
  return result;
}

/** A random rectangle of the image: ten tries at an area and a ratio that fit, then the largest middle one that may be. */
export function randomCrop(
  { width, height }: { readonly width: number; readonly height: number },
  rng: Rng,
  scale: readonly [number, number],
  ratio: readonly [number, number],
): Rectangle {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * between(scale[0], scale[1]);
    const aspect = Math.exp(between(Math.log(ratio[0]), Math.log(ratio[1])));
    const w = roundHalfEven(Math.sqrt(area * aspect));
    const h = roundHalfEven(Math.sqrt(area / aspect));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      return { top: rng.integer(height - h + 1), left: rng.integer(width - w + 1), width: w, height: h };
    }
  }
  const aspect = Math.min(Math.max(width / height, ratio[0]), ratio[1]);
  const w = width / height > aspect ? roundHalfEven(height * aspect) : width;
  const h = width / height < aspect ? roundHalfEven(width / aspect) : height;
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h };
}

function mirror(image: PixelImage, leftRight: boolean): PixelImage {
  const { width, height } = image;
  return gatherPixels(image, image, (x, y) => (leftRight ? [width - 1 - x, y] : [x, height - 1 - y]));
}

/** Turns an image counter-clockwise about its centre: same size, nearest pixel, black where there was nothing. */
export function rotateImage(image: PixelImage, degrees: number): PixelImage {
  const { width, height } = image;
  const cos = Math.cos((degrees * Math.PI) / 180);
  const sin = Math.sin((degrees * Math.PI) / 180);
  return gatherPixels(image, image, (x, y) => {
    const dx = x + 0.5 - width / 2;
    const dy = y + 0.5 - height / 2;
    const column = Math.floor(cos * dx - sin * dy + width / 2);
    const row = Math.floor(sin * dx + cos * dy + height / 2);
    return column >= 0 && row >= 0 && column < width && row < height ? [column, row] : null;
  });
}
