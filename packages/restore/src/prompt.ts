/** From low-quality images to the features that steer a super-resolution network (spec/training.md, "CLIP features in stage 2"). */
import { CLIP_MEAN, CLIP_STD } from "@deplsr/clip";
import type { ImagePrompt, SrCLIPV2 } from "@deplsr/srclip";
import { detach, div, interpolate, noGrad, scope, slice, sub, type Tensor, unsqueeze } from "@deplsr/tensor";
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
    scope(() => {
      const square = toSquare(images, srclip.config.clip.vision.imageSize, options.clipFit);
      const seen = options.clipInput === "normalized" ? normalized(square) : square;
      const { content, fine } = srclip.encodeImage(seen, { normalize: true });
      return { content: detach(unsqueeze(content, 1)), degradation: detach(fine!) };
    }),
  );
}

/** The prompt of an image on the host, which may be too large for the device. */
export function promptOf(srclip: SrCLIPV2, image: RasterImage, options: PromptOptions): ImagePrompt {
  const { imageSize } = srclip.config.clip.vision;
  const { device } = srclip.logitScale;
  return scope(() => {
    const square = device.tensor(squareForPrompt(image, imageSize, options.clipFit), [1, 3, imageSize, imageSize]);
    return imagePrompt(srclip, square, options);
  });
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
 * The square that SRCLIP sees of an image of any size, as planes (1, 3, size, size) in [0, 1]: what `imagePrompt` makes on the device,
 * for images that may be too large for it.
 */
export function squareForPrompt(image: RasterImage, size: number, fit: PromptOptions["clipFit"]): Float32Array {
  const { width, height, data } = image;
  const white = whiteOf(data);
  const planes = new Float32Array(3 * size * size);
  const whole = fit === "squash" || width < size || height < size;
  const rows = whole ? bilinearTaps(height, size) : middleTaps(height, size);
  const columns = whole ? bilinearTaps(width, size) : middleTaps(width, size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [row, column] = [rows[y]!, columns[x]!];
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

/** The `to` positions in the middle of `from`. */
function middleTaps(from: number, to: number): Tap[] {
  const start = middle(from, to);
  return Array.from({ length: to }, (_, i) => ({ first: start + i, second: start + i, part: 0 }));
}
