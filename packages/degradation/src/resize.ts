import { interpolate, type Tensor } from "@deplsr/tensor";

/** How a new pixel is made of old ones. */
export type ResizeMode = "area" | "bilinear" | "bicubic";

/** The new size: pixels as [height, width], or a factor for both, whose result is rounded down. */
export type ResizeTarget = { readonly size: readonly [number, number] } | { readonly scaleFactor: number };

/**
 * Resizes `images (b, c, h, w)` as PyTorch's `interpolate` does, pixel centres half a pixel off the grid. Plain bicubic takes a = −0.75;
 * with `antialias`, which bilinear and bicubic know, the filter is widened where the image shrinks, and a = −0.5. The result of bicubic may
 * leave [0, 1].
 */
export function resize(
  images: Tensor,
  mode: ResizeMode,
  target: ResizeTarget,
  { antialias = false }: { readonly antialias?: boolean } = {},
): Tensor {
  return interpolate(images, { mode, antialias, ...target });
}
