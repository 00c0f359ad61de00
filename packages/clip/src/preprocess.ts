import type { Device, Tensor } from "@deplsr/tensor";
import { checkImage, cropImage, type PixelImage, roundHalfEven, toRgb } from "./image.ts";
import { resizeBicubic } from "./resize.ts";

/** Mean of the R, G and B values in 0..1 that the published CLIP models subtract. */
export const CLIP_MEAN: readonly [number, number, number] = [0.48145466, 0.4578275, 0.40821073];

/** Standard deviation of the R, G and B values in 0..1 that the published CLIP models divide by. */
export const CLIP_STD: readonly [number, number, number] = [0.26862954, 0.26130258, 0.27577711];

/**
 * How an image becomes a square: `shortest` scales the short side and cuts the middle out, `longest` scales the long side
 * and pads, `squash` ignores the proportions.
 */
export type ResizeMode = "shortest" | "longest" | "squash";

/** What evaluation images go through. */
export interface PreprocessOptions {
  /** Side of the result in pixels, default 224. */
  readonly size?: number;
  readonly mode?: ResizeMode;
  /** Value 0..255 of the padding of mode `longest`, default 0. */
  readonly fill?: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** The first step of preprocessing: a bicubic resize to `size` as the mode says. */
export function resizeToFit(image: PixelImage, size: number, mode: ResizeMode = "shortest"): PixelImage {
  checkImage("resizeToFit", image);
  const { width, height } = image;
  if (mode === "squash") return resizeBicubic(image, size, size);
  if (mode === "longest") {
    const ratio = Math.max(width, height) / size;
    const scaled = (side: number): number => Math.max(1, roundHalfEven(side / ratio));
    return resizeBicubic(image, scaled(width), scaled(height));
  }
  const short = Math.min(width, height);
  if (short === size) return image;
  const long = Math.trunc((size * Math.max(width, height)) / short);
  return width <= height ? resizeBicubic(image, size, long) : resizeBicubic(image, long, size);
}

/** Cuts the middle `size` x `size` out; sides that are shorter are first padded on both ends with `fill`. */
export function centerCropOrPad(image: PixelImage, size: number, fill = 0): PixelImage {
  const begin = (side: number): number =>
    side < size ? -Math.floor((size - side) / 2) : roundHalfEven((side - size) / 2);
  return cropImage(image, { left: begin(image.width), top: begin(image.height), width: size, height: size }, fill);
}

/** 8-bit RGB or grey to planes: `(value/255 − mean) / std`, (3, height, width). */
export function normalizeImage(
  image: PixelImage,
  mean: readonly number[] = CLIP_MEAN,
  std: readonly number[] = CLIP_STD,
): Float32Array {
  checkImage("normalizeImage", image);
  const { data, width, height } = toRgb(image);
  const planes = new Float32Array(3 * width * height);
  for (let c = 0, to = 0; c < 3; c++) {
    for (let from = c; from < data.length; from += 3) planes[to++] = (data[from]! / 255 - mean[c]!) / std[c]!;
  }
  return planes;
}

/** CLIP's evaluation transform: resize, cut the middle out, RGB, normalise. Returns planes (3, size, size). */
export function preprocessImage(image: PixelImage, options: PreprocessOptions = {}): Float32Array {
  const { size = 224, mode = "shortest", fill = 0, mean, std } = options;
  return normalizeImage(centerCropOrPad(resizeToFit(image, size, mode), size, fill), mean, std);
}

/** The evaluation transform of several images, on a device: (b, 3, size, size). */
export function preprocessImages(
  device: Device,
  images: readonly PixelImage[],
  options: PreprocessOptions = {},
): Tensor {
  return stackPlanes(
    device,
    images.map((image) => preprocessImage(image, options)),
    options.size ?? 224,
  );
}

/** Planes (3, size, size) of several images as one tensor (b, 3, size, size). */
export function stackPlanes(device: Device, planes: readonly Float32Array[], size: number): Tensor {
  const all = new Float32Array(planes.length * 3 * size * size);
  for (const [index, image] of planes.entries()) all.set(image, index * 3 * size * size);
  return device.tensor(all, [planes.length, 3, size, size]);
}
