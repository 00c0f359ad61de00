import { clamp, mul, round, type Tensor } from "@deplsr/tensor";

/** Rounds images in [0, 1] to the 256 levels of 8 bits (ties to even) and clips them: `clamp(round(255·x), 0, 255)/255`, any shape. */
export function roundTo255Levels(images: Tensor): Tensor {
  return mul(wholeLevels(images), 1 / 255);
}

/** The levels themselves: whole numbers 0 … 255. */
export function wholeLevels(images: Tensor): Tensor {
  return clamp(round(mul(images, 255)), { min: 0, max: 255 });
}

/** One number for each image of a batch, or one for all: a tensor `(b, 1, 1, 1)` that broadcasts over the images. */
export function perImage(op: string, images: Tensor, values: number | readonly number[]): Tensor {
  const b = images.shape[0] ?? 0;
  const list = typeof values === "number" ? new Array<number>(b).fill(values) : values;
  if (list.length !== b) throw new RangeError(`${op}: ${list.length} values for ${b} images`);
  return images.device.tensor(list, [b, 1, 1, 1]);
}
