/** Cutting images and laying them out as the planes that tensors want. */
import type { Image } from "./image.ts";

/** A rectangle of pixels. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The pixels inside a rectangle, which must lie within the image. */
export function crop(image: Image, { left, top, width, height }: Rectangle): Image {
  if (left < 0 || top < 0 || left + width > image.width || top + height > image.height) {
    throw new RangeError(
      `crop: ${width}x${height} at (${left}, ${top}) is not inside the image of ${image.width}x${image.height}`,
    );
  }
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** Several images of one size as planes (b, 3, h, w) of floats in [0, 1]. */
export function toPlanes(images: readonly Image[]): Float32Array {
  const first = images[0];
  if (first === undefined) throw new RangeError("toPlanes: no images");
  const area = first.width * first.height;
  const planes = new Float32Array(images.length * 3 * area);
  images.forEach((image, b) => {
    if (image.width !== first.width || image.height !== first.height) {
      throw new RangeError(
        `toPlanes: images of one batch must have one size: ${first.width}x${first.height} and ${image.width}x${image.height}`,
      );
    }
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) planes[(b * 3 + c) * area + i] = image.data[i * 3 + c]! / 255;
    }
  });
  return planes;
}

/**
 * Planes (b, 3, h, w) in [0, 1] as images: clamped, times 255, rounded.
 *
 * @throws RangeError naming the first value that is not finite
 */
export function fromPlanes(planes: ArrayLike<number>, width: number, height: number): Image[] {
  const area = width * height;
  const images: Image[] = [];
  for (let b = 0; b * 3 * area < planes.length; b++) {
    const data = new Uint8Array(area * 3);
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < area; i++) {
        const value = planes[(b * 3 + c) * area + i]!;
        if (!Number.isFinite(value)) {
          throw new RangeError(`image: pixel ${i % width}, ${Math.floor(i / width)} of image ${b} is ${value}`);
        }
        data[i * 3 + c] = Math.round(Math.min(1, Math.max(0, value)) * 255);
      }
    }
    images.push({ width, height, data });
  }
  return images;
}

/** Images beside each other, aligned at the top, `gap` white pixels between them. */
export function sideBySide(images: readonly Image[], gap: number): Image {
  const width = images.reduce((sum, image) => sum + image.width, 0) + gap * (images.length - 1);
  const height = Math.max(...images.map((image) => image.height));
  const data = new Uint8Array(width * height * 3).fill(255);
  let left = 0;
  for (const image of images) {
    for (let y = 0; y < image.height; y++) {
      data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), (y * width + left) * 3);
    }
    left += image.width + gap;
  }
  return { width, height, data };
}
