import { clamp, div, interpolate, sub, type Tensor, transient } from "@deplsr/tensor";

/** Side of the images that Inception-v3 was trained on. */
const SIDE = 299;

/**
 * Resizes images `(b, 3, h, w)` with values in 0 … 255 to `(b, 3, 299, 299)` as the "clean" Fréchet inception distance does: bicubic
 * (a = −0.5), antialiased, in floats, cut to 0 … 255 and not rounded. The aspect ratio is not kept.
 *
 * @see https://arxiv.org/abs/2104.11222
 */
export function fidResize(image: Tensor): Tensor {
  return transient(() =>
    clamp(interpolate(image, { mode: "bicubic", size: SIDE, antialias: true }), { min: 0, max: 255 }),
  );
}

/** Values 0 … 255 as `InceptionV3` expects them, in [−1, 1): `(v − 128) / 128`. */
export function fidNormalize(image: Tensor): Tensor {
  return div(sub(image, 128), 128);
}
