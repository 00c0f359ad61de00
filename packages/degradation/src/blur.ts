import { conv2d, type Device, expand, pad, reshape, ShapeError, type Tensor } from "@deplsr/tensor";
import { type BlurKernel, padKernel } from "./blur-kernel.ts";

/**
 * Filters every channel with one kernel for the batch or one for each image: `images (b, c, h, w)`, `kernel (k, k)`, `(1, k, k)` or
 * `(b, k, k)`, k odd → the shape of the images. Borders are reflected without repeating the edge, and the kernel is not flipped.
 *
 * @throws ShapeError when an image is not larger than half a kernel, or the kernels do not fit the batch
 * @see BasicSR `filter2D`
 */
export function filter2d(images: Tensor, kernel: Tensor): Tensor {
  const [b = 0, c = 0, h = 0, w = 0] = images.shape;
  const k = kernel.shape.at(-1) ?? 0;
  const count = kernel.rank === 3 ? kernel.shape[0] : 1;
  if (images.rank !== 4 || kernel.shape.at(-2) !== k || k % 2 === 0 || (count !== 1 && count !== b)) {
    throw new ShapeError(
      `filter2d: images [${images.shape.join(", ")}] must be (b, c, h, w) and kernel [${kernel.shape.join(", ")}] (k, k), (1, k, k) or (b, k, k) with k odd`,
    );
  }
  const margin = (k - 1) / 2;
  if (h <= margin || w <= margin) {
    throw new ShapeError(`filter2d: images of ${w} x ${h} pixels are too small for a kernel of ${k} x ${k}`);
  }
  // Each channel of each image becomes a channel of one picture, so that every one can have its own kernel.
  const padded = pad(
    reshape(images, [1, b * c, h, w]),
    [
      [0, 0],
      [0, 0],
      [margin, margin],
      [margin, margin],
    ],
    { mode: "reflect" },
  );
  const weight = reshape(expand(reshape(kernel, [count ?? 1, 1, k, k]), [b, c, k, k]), [b * c, 1, k, k]);
  return reshape(conv2d(padded, weight, { groups: b * c }), images.shape);
}

/** Puts kernels on the device for `filter2d`, in the middle of zeros up to the largest size: `(n, k, k)`. */
export function kernelTensor(device: Device, kernels: readonly BlurKernel[]): Tensor {
  const size = Math.max(...kernels.map((kernel) => kernel.size));
  const data = new Float32Array(kernels.length * size * size);
  for (const [i, kernel] of kernels.entries()) data.set(padKernel(kernel, size).weights, i * size * size);
  return device.tensor(data, [kernels.length, size, size], { label: "blur kernels" });
}
