import { conv2d, type Device, expand, pad, reshape, ShapeError, type Tensor, unsqueeze } from "@deplsr/tensor";
import { type BlurKernel, padKernel } from "./blur-kernel.ts";
import { inGroups } from "./groups.ts";

/**
 * Filters every channel with one kernel for the batch or one for each image: `images (b, c, h, w)`, `kernel (k, k)`, `(1, k, k)` or
 * `(b, k, k)`, k odd → the shape of the images. Borders are reflected without repeating the edge, and the kernel is not flipped.
 *
 * @throws ShapeError when an image is not larger than half a kernel, or the kernels do not fit the batch
 * @see BasicSR `filter2D`
 */
export function filter2d(images: Tensor, kernel: Tensor): Tensor {
  const b = images.shape[0] ?? 0;
  const k = kernel.shape.at(-1) ?? 0;
  const count = kernel.rank === 3 ? kernel.shape[0] : 1;
  if (images.rank !== 4 || kernel.shape.at(-2) !== k || k % 2 === 0 || (count !== 1 && count !== b)) {
    throw new ShapeError(
      `filter2d: images [${images.shape.join(", ")}] must be (b, c, h, w) and kernel [${kernel.shape.join(", ")}] (k, k), (1, k, k) or (b, k, k) with k odd`,
    );
  }
  return correlate(images, reshape(kernel, [count ?? 1, k, k]));
}

/**
 * Filters each image with a kernel of its own, as `filter2d` does: `images (b, c, h, w)` → the same shape. Kernels of one size are applied
 * together, and those that are products of a column and a row, as isotropic Gaussians are, as these two: 2k products for a pixel instead of k².
 *
 * @throws ShapeError when an image is not larger than half a kernel, or the number of kernels is not that of the images
 */
export function blurImages(images: Tensor, kernels: readonly BlurKernel[]): Tensor {
  if (kernels.length !== images.shape[0]) {
    throw new ShapeError(`blurImages: ${kernels.length} kernels for images [${images.shape.join(", ")}]`);
  }
  const factors = kernels.map(factorize);
  const keys = kernels.map(({ size }, i) => `${size} ${factors[i] !== null}`);
  return inGroups(images, keys, (part, indices) => {
    const own = indices.map((i) => kernels[i]!);
    const { size } = own[0]!;
    if (size === 1) return part;
    if (factors[indices[0]!] === null) return correlate(part, kernelTensor(part.device, own));
    const side = (name: "column" | "row"): Tensor => {
      const values = indices.flatMap((i) => [...factors[i]![name]]);
      return part.device.tensor(Float32Array.from(values), [indices.length, size]);
    };
    return correlate(correlate(part, unsqueeze(side("column"), 2)), unsqueeze(side("row"), 1));
  });
}

/** The column and row whose product a kernel of sum 1 is, or null: they can only be the sums of its rows and of its columns. */
function factorize({
  size,
  weights,
}: BlurKernel): { readonly column: Float64Array; readonly row: Float64Array } | null {
  const column = new Float64Array(size);
  const row = new Float64Array(size);
  for (const [i, weight] of weights.entries()) {
    column[Math.floor(i / size)]! += weight;
    row[i % size]! += weight;
  }
  const isProduct = weights.every(
    (weight, i) => Math.abs(weight - column[Math.floor(i / size)]! * row[i % size]!) < 1e-9,
  );
  return isProduct ? { column, row } : null;
}

/** Cross-correlation with reflected borders: `images (b, c, h, w)`, `kernels (1 or b, k, l)` with odd sides. */
function correlate(images: Tensor, kernels: Tensor): Tensor {
  const [b = 0, c = 0, h = 0, w = 0] = images.shape;
  const [count = 0, k = 0, l = 0] = kernels.shape;
  const [above, beside] = [(k - 1) / 2, (l - 1) / 2];
  if (h <= above || w <= beside) {
    throw new ShapeError(
      `filter2d: images of ${w} x ${h} pixels are too small for a kernel of ${Math.max(k, l)} pixels`,
    );
  }
  // Each channel of each image becomes a channel of one picture, so that every one can have its own kernel.
  const margins = [
    [0, 0],
    [0, 0],
    [above, above],
    [beside, beside],
  ] as const;
  const padded = pad(reshape(images, [1, b * c, h, w]), margins, { mode: "reflect" });
  const weight = reshape(expand(reshape(kernels, [count, 1, k, l]), [b, c, k, l]), [b * c, 1, k, l]);
  return reshape(conv2d(padded, weight, { groups: b * c }), images.shape);
}

/** Puts kernels on the device for `filter2d`, in the middle of zeros up to the largest size: `(n, k, k)`. */
export function kernelTensor(device: Device, kernels: readonly BlurKernel[]): Tensor {
  const size = Math.max(...kernels.map((kernel) => kernel.size));
  const data = new Float32Array(kernels.length * size * size);
  for (const [i, kernel] of kernels.entries()) data.set(padKernel(kernel, size).weights, i * size * size);
  return device.tensor(data, [kernels.length, size, size], { label: "blur kernels" });
}
