/** Colour matrices: affine maps of RGB triples, composed on the host and applied in one launch. */
import { conv2d, type Tensor } from "@deplsr/tensor";
import { mat4d } from "wgpu-matrix";

/** RGB to YCbCr of JPEG files, both in 0 … 255 (ITU-T T.871). Columns as wgpu-matrix stores them, so a line below is one input. */
// biome-ignore format: a matrix
export const RGB_TO_YCBCR: Float64Array = mat4d.create(
  0.299, -0.168736,  0.5,      0, // red
  0.587, -0.331264, -0.418688, 0, // green
  0.114,  0.5,      -0.081312, 0, // blue
  0,    128,       128,        1,
);

/** YCbCr to RGB of JPEG files, both in 0 … 255; the inverse up to the digits that the standard gives. */
export const YCBCR_TO_RGB: Float64Array = mat4d.multiply(
  // biome-ignore format: a matrix
  mat4d.create(
    1,      1,        1,     0, // luma
    0,     -0.344136, 1.772, 0, // blue difference
    1.402, -0.714136, 0,     0, // red difference
    0,      0,        0,     1,
  ),
  mat4d.translation([0, -128, -128]),
);

/** Applies an affine map to the channels of every pixel: `images (b, 3, h, w)` → the same shape. */
export function applyColorMatrix(images: Tensor, matrix: Float64Array): Tensor {
  const { device } = images;
  const weight = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => matrix[4 * column + row]!));
  const bias = device.tensor([matrix[12]!, matrix[13]!, matrix[14]!]);
  return conv2d(images, device.tensor(weight, [3, 3, 1, 1]), { bias });
}
