/** Unsharp masking (spec: degradation, section 5; after Real-ESRGAN, arXiv 2107.10833, section 3.4). */
import { abs, add, cast, clamp, gt, mul, ShapeError, sub, type Tensor } from "@deplsr/tensor";
import { blurImages } from "./blur.ts";
import { type BlurKernel, blurKernel } from "./blur-kernel.ts";

/** Side of the Gaussian kernel in pixels. */
export const USM_RADIUS = 51;

/** How much is sharpened, and where. */
export interface UsmOptions {
  /** Factor of the detail that is added. Default 0.5. */
  readonly weight?: number;
  /** Only detail of more steps of 255 than this is sharpened. Default 10. */
  readonly threshold?: number;
  /** Side of the Gaussian kernel in pixels, an even one is made odd. Default 51. */
  readonly radius?: number;
}

/**
 * Sharpens edges and leaves flat regions and their noise alone: `images (b, 3, h, w)` in [0, 1] → the same shape. The detail `x − blur(x)` is
 * added where it exceeds the threshold; the mask of these places is blurred as well, so that the change fades out. The mask is a decision
 * and has no gradient.
 *
 * @throws ShapeError when an image is not larger than half the kernel
 * @see BasicSR `USMSharp`
 */
export function usmSharpen(
  images: Tensor,
  { weight = 0.5, threshold = 10, radius = USM_RADIUS }: UsmOptions = {},
): Tensor {
  if (images.rank !== 4) {
    throw new ShapeError(`usmSharpen: images [${images.shape.join(", ")}] must be (b, c, h, w)`);
  }
  const kernel = usmKernel(radius);
  const soften = (x: Tensor): Tensor => blurImages(x, new Array<BlurKernel>(images.shape[0]!).fill(kernel));
  const detail = sub(images, soften(images));
  const mask = soften(cast(gt(mul(abs(detail), 255), threshold), "f32"));
  const sharp = clamp(add(images, mul(detail, weight)), { min: 0, max: 1 });
  return add(mul(mask, sharp), mul(sub(1, mask), images));
}

/** The Gaussian of a side of `radius` pixels, as wide as OpenCV's `getGaussianKernel` makes it when no sigma is given. */
export function usmKernel(radius: number): BlurKernel {
  const size = radius % 2 === 0 ? radius + 1 : radius;
  return blurKernel({ type: "iso", size, sigma: 0.3 * ((size - 1) / 2 - 1) + 0.8 });
}
