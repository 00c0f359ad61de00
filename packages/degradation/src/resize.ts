import { interpolate, type Tensor } from "@deplsr/tensor";

/** How a new pixel is made of old ones, without a filter against aliasing. */
export type ResizeMode = "area" | "bilinear" | "bicubic";

/** The new size: pixels as [height, width], or a factor for both, whose result is rounded down. */
export type ResizeTarget = { readonly size: readonly [number, number] } | { readonly scaleFactor: number };

/**
 * Resizes `images (b, c, h, w)` as the reference does: pixel centres half a pixel off the grid, no antialiasing, bicubic with a = −0.75. The
 * result of bicubic may leave [0, 1].
 */
export function resize(images: Tensor, mode: ResizeMode, target: ResizeTarget): Tensor {
  const options = { mode, antialias: false, ...(mode === "bicubic" && { cubicA: -0.75 }) };
  if ("scaleFactor" in target) return interpolate(images, { ...options, scaleFactor: target.scaleFactor });
  const [h, w] = target.size;
  return interpolate(images, { ...options, size: [h, w] });
}
