/** From low-quality images to the features that steer a super-resolution network (spec/training.md, "CLIP features in stage 2"). */
import { CLIP_MEAN, CLIP_STD, normalizeFeatures } from "@deplsr/clip";
import type { ImageFeatures, ImagePrompt, SrCLIPV2 } from "@deplsr/srclip";
import { detach, div, interpolate, mean, noGrad, scope, slice, sub, type Tensor, unsqueeze } from "@deplsr/tensor";
import { type RasterImage, whiteOf } from "./image.ts";

/** How SRCLIP sees an image. */
export interface PromptOptions {
  /** Normalised by CLIP's mean and deviation, or raw in [0, 1] as the original does. */
  readonly clipInput: "normalized" | "raw";
  /** The whole image squashed to SRCLIP's square, as the original does, or the middle of it at native resolution, where the damage stays visible. */
  readonly clipFit: "squash" | "crop";
}

/** Images (b, 3, h, w) in [0, 1] → content (b, 1, e) and degradation (b, 5, e), of length 1, without gradients. */
export function imagePrompt(srclip: SrCLIPV2, images: Tensor, options: PromptOptions): ImagePrompt {
  return noGrad(() =>
    scope(() =>
      asPrompt(encode(srclip, toSquare(images, srclip.config.clip.vision.imageSize, options.clipFit), options)),
    ),
  );
}

/** Squares along either side of a photograph that its features are the mean of, where there is room. */
const SQUARES = 3;

/** The prompt of an image on the host, which may be too large for the device, see `imageFeatures`. */
export function promptOf(srclip: SrCLIPV2, image: RasterImage, options: PromptOptions): ImagePrompt {
  return noGrad(() => scope(() => asPrompt(imageFeatures(srclip, image, options))));
}

/** What SRCLIP sees in an image on the host, b = 1: the means of the features of its squares, of length 1, without gradients. */
export function imageFeatures(srclip: SrCLIPV2, image: RasterImage, options: PromptOptions): ImageFeatures {
  const { imageSize } = srclip.config.clip.vision;
  const { device } = srclip.logitScale;
  return noGrad(() =>
    scope(() => {
      const squares = squaresForPrompt(image, imageSize, options.clipFit);
      const planes = device.tensor(joined(squares), [squares.length, 3, imageSize, imageSize]);
      const { content, degradation, fine } = encode(srclip, planes, options);
      const average = (x: Tensor): Tensor => normalizeFeatures(mean(x, { dim: 0, keepDim: true }));
      return {
        content: average(content),
        degradation: degradation && average(degradation),
        fine: fine && average(fine),
      };
    }),
  );
}

function encode(srclip: SrCLIPV2, square: Tensor, { clipInput }: PromptOptions): ImageFeatures {
  return srclip.encodeImage(clipInput === "normalized" ? normalized(square) : square, { normalize: true });
}

function asPrompt({ content, fine }: ImageFeatures): ImagePrompt {
  return { content: detach(unsqueeze(content, 1)), degradation: detach(fine!) };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const [first] = parts;
  const all = new Float32Array(parts.length * (first?.length ?? 0));
  for (const [i, part] of parts.entries()) all.set(part, i * part.length);
  return all;
}

/** Images (b, 3, h, w) in [0, 1] with CLIP's mean and deviation taken out. */
export function normalized(images: Tensor): Tensor {
  const { device } = images;
  return div(sub(images, device.tensor(CLIP_MEAN, [1, 3, 1, 1])), device.tensor(CLIP_STD, [1, 3, 1, 1]));
}

function toSquare(images: Tensor, size: number, fit: PromptOptions["clipFit"]): Tensor {
  const [, , height, width] = images.shape as [number, number, number, number];
  if (height === size && width === size) return images;
  if (fit === "squash" || height < size || width < size) {
    return interpolate(images, { mode: "bilinear", size: [size, size] });
  }
  const [top, left] = [middle(height, size), middle(width, size)];
  return slice(images, [null, null, [top, top + size], [left, left + size]]);
}

/**
 * The squares that SRCLIP sees of an image of any size, each as planes (3, size, size) in [0, 1]: all of it squashed as `imagePrompt` does
 * on the device, or up to 3 x 3 squares at native resolution, spread evenly, with the corners on the grid of JPEG's blocks.
 */
export function squaresForPrompt(image: RasterImage, size: number, fit: PromptOptions["clipFit"]): Float32Array[] {
  const { width, height } = image;
  if (fit === "squash" || width < size || height < size) {
    return [square(image, bilinearTaps(height, size), bilinearTaps(width, size))];
  }
  return starts(height, size).flatMap((top) =>
    starts(width, size).map((left) => square(image, nativeTaps(top, size), nativeTaps(left, size))),
  );
}

function square({ width, data }: RasterImage, rows: readonly Tap[], columns: readonly Tap[]): Float32Array {
  const white = whiteOf(data);
  const size = rows.length;
  const planes = new Float32Array(3 * size * size);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      for (let c = 0; c < 3; c++) {
        const at = (j: number, i: number): number => data[(j * width + i) * 3 + c]! / white;
        const above = at(row.first, column.first) * (1 - column.part) + at(row.first, column.second) * column.part;
        const below = at(row.second, column.first) * (1 - column.part) + at(row.second, column.second) * column.part;
        planes[(c * size + y) * size + x] = above * (1 - row.part) + below * row.part;
      }
    }
  }
  return planes;
}

/** Two positions, and how far what is wanted lies towards the second. */
interface Tap {
  readonly first: number;
  readonly second: number;
  readonly part: number;
}

/** For each of `to` positions the two of `from` it lies between (spec/degradation.md, 3). */
function bilinearTaps(from: number, to: number): Tap[] {
  return Array.from({ length: to }, (_, i) => {
    const source = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const first = Math.floor(source);
    return { first, second: Math.min(first + 1, from - 1), part: source - first };
  });
}

/** Where `to` pixels in the middle of `from` begin: on the grid of JPEG's blocks of 8, where compression shows. */
function middle(from: number, to: number): number {
  return 8 * Math.floor((from - to) / 16);
}

/** Where up to three runs of `size` out of `from` pixels begin, each in the middle of its share. */
function starts(from: number, size: number): number[] {
  const count = Math.min(SQUARES, Math.floor(from / size));
  return Array.from({ length: count }, (_, i) => 8 * Math.floor((((2 * i + 1) * from) / count - size) / 16));
}

/** `size` positions from `start` on. */
function nativeTaps(start: number, size: number): Tap[] {
  return Array.from({ length: size }, (_, i) => ({ first: start + i, second: start + i, part: 0 }));
}
