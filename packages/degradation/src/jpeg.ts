/** JPEG compression as tensor arithmetic (DiffJPEG, as in BasicSR; spec: degradation, section 4). */
import {
  add,
  avgPool2d,
  cat,
  clamp,
  type Device,
  div,
  interpolate,
  matmul,
  mul,
  pad,
  permute,
  pow,
  reshape,
  round,
  ShapeError,
  slice,
  sub,
  type Tensor,
  transpose,
} from "@deplsr/tensor";
import { type Mat4d, mat4d } from "wgpu-matrix";
import { applyColorMatrix, RGB_TO_YCBCR, YCBCR_TO_RGB } from "./color.ts";

const BLOCK = 8;

// biome-ignore format: the tables of ITU-T T.81, annex K.1, at quality 50
const LUMA_TABLE = [
  16, 11, 10, 16, 24, 40, 51, 61,
  12, 12, 14, 19, 26, 58, 60, 55,
  14, 13, 16, 24, 40, 57, 69, 56,
  14, 17, 22, 29, 51, 87, 80, 62,
  18, 22, 37, 56, 68, 109, 103, 77,
  24, 35, 55, 64, 81, 104, 113, 92,
  49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];

// biome-ignore format: see above
const CHROMA_CORNER = [
  17, 18, 24, 47,
  18, 21, 26, 66,
  24, 26, 56, 99,
  47, 66, 99, 99,
];

/** How to compress. */
export interface JpegOptions {
  /** Quality factor above 0 and at most 99, for the batch or for each image. */
  readonly quality: number | readonly number[];
  /** Round with `round(x) + (x − round(x))³`, which has a gradient almost everywhere. Default false. */
  readonly differentiable?: boolean;
}

/**
 * Compresses and decompresses: `images (b, 3, h, w)` RGB in [0, 1] → the same shape. Colour is halved in both directions, 8×8 blocks are
 * transformed and quantised; sizes are filled up with black to multiples of 16 and cropped back. Unlike a JPEG file, neither the quantisation
 * tables nor the result are rounded.
 *
 * @throws RangeError for a quality that has no quantisation
 * @see https://arxiv.org/abs/1607.08310 and github.com/mlomnitz/DiffJPEG
 */
export function diffJpeg(images: Tensor, { quality, differentiable = false }: JpegOptions): Tensor {
  const [b = 0, channels = 0, h = 0, w = 0] = images.shape;
  if (images.rank !== 4 || channels !== 3) {
    throw new ShapeError(`diffJpeg: images [${images.shape.join(", ")}] must be (b, 3, h, w)`);
  }
  const { device } = images;
  const factors = (typeof quality === "number" ? new Array<number>(b).fill(quality) : quality).map(quantizationFactor);
  if (factors.length !== b) throw new RangeError(`diffJpeg: ${factors.length} qualities for ${b} images`);
  const factor = device.tensor(factors, [b, 1, 1]);
  const filled = pad(images, [
    [0, 0],
    [0, 0],
    [0, (16 - (h % 16)) % 16],
    [0, (16 - (w % 16)) % 16],
  ]);
  const ycbcr = applyColorMatrix(filled, TO_SHIFTED_YCBCR);
  const luma = slice(ycbcr, [null, [0, 1]]); // (b, 1, h, w)
  const chroma = avgPool2d(slice(ycbcr, [null, [1, 3]]), { kernel: 2 }); // (b, 2, h/2, w/2)
  const rounding = differentiable ? softRound : round;
  const transform = cosineTransform(device);
  const newLuma = quantize(luma, transform, mul(table(device, lumaStep), factor), rounding);
  const newChroma = quantize(chroma, transform, mul(table(device, chromaStep), factor), rounding);
  const joined = cat([newLuma, interpolate(newChroma, { mode: "nearest", scaleFactor: 2 })], 1);
  const rgb = clamp(applyColorMatrix(joined, FROM_SHIFTED_YCBCR), { min: 0, max: 1 });
  return slice(rgb, [null, null, [0, h], [0, w]]);
}

/** Factor of the quantisation tables: `50/q` below 50, else `(200 − 2q)/100`. @throws RangeError unless 0 < q ≤ 99 */
export function quantizationFactor(quality: number): number {
  if (!(quality > 0 && quality <= 99)) {
    throw new RangeError(`diffJpeg: quality ${quality} must be above 0 and at most 99 (100 would divide by zero)`);
  }
  return quality < 50 ? 50 / quality : (200 - 2 * quality) / 100;
}

/** From RGB in [0, 1] to YCbCr around 0, −128 … 127. */
const TO_SHIFTED_YCBCR: Mat4d = mat4d.multiply(
  mat4d.translation([-128, -128, -128]),
  mat4d.multiply(RGB_TO_YCBCR, mat4d.scaling([255, 255, 255])),
);

/** Back to RGB in [0, 1]. */
const FROM_SHIFTED_YCBCR: Mat4d = mat4d.multiply(
  mat4d.scaling([1 / 255, 1 / 255, 1 / 255]),
  mat4d.multiply(YCBCR_TO_RGB, mat4d.translation([128, 128, 128])),
);

/** The reference reads the standard's table with rows and columns exchanged. */
const lumaStep = (u: number, v: number): number => LUMA_TABLE[v * BLOCK + u]!;
const chromaStep = (u: number, v: number): number => (u < 4 && v < 4 ? CHROMA_CORNER[v * 4 + u]! : 99);

function table(device: Device, step: (u: number, v: number) => number): Tensor {
  return device.tensor(
    Float32Array.from({ length: BLOCK ** 2 }, (_, i) => step(Math.floor(i / BLOCK), i % BLOCK)),
    [1, 1, BLOCK ** 2],
  );
}

/**
 * The orthonormal cosine transform of flattened blocks, (64 pixels, 64 frequencies):
 * `¼ α(u)α(v) cos((2x+1)uπ/16) cos((2y+1)vπ/16)`, α(0) = 1/√2, x and u along the rows. Its transpose is its inverse.
 */
function cosineTransform(device: Device): Tensor {
  const wave = (x: number, u: number): number =>
    Math.cos(((2 * x + 1) * u * Math.PI) / (2 * BLOCK)) * (u === 0 ? Math.SQRT1_2 : 1) * 0.5;
  const values = new Float32Array(BLOCK ** 4);
  for (let i = 0; i < values.length; i++) {
    const pixel = Math.floor(i / BLOCK ** 2);
    const frequency = i % BLOCK ** 2;
    values[i] = wave(Math.floor(pixel / BLOCK), Math.floor(frequency / BLOCK)) * wave(pixel % BLOCK, frequency % BLOCK);
  }
  return device.tensor(values, [BLOCK ** 2, BLOCK ** 2]);
}

/** Transforms, rounds to multiples of `steps (b, 1, 64)` and transforms back: `planes (b, c, h, w)` around 0 → the same shape. */
function quantize(planes: Tensor, transform: Tensor, steps: Tensor, rounding: (x: Tensor) => Tensor): Tensor {
  const [b = 0, c = 0, h = 0, w = 0] = planes.shape;
  const [rows, columns] = [h / BLOCK, w / BLOCK];
  const split = permute(reshape(planes, [b, c, rows, BLOCK, columns, BLOCK]), [0, 1, 2, 4, 3, 5]);
  const blocks = reshape(split, [b, c * rows * columns, BLOCK ** 2]);
  const quantized = mul(rounding(div(matmul(blocks, transform), steps)), steps);
  const restored = reshape(matmul(quantized, transpose(transform, 0, 1)), [b, c, rows, columns, BLOCK, BLOCK]);
  return reshape(permute(restored, [0, 1, 2, 4, 3, 5]), planes.shape);
}

function softRound(x: Tensor): Tensor {
  const nearest = round(x);
  return add(nearest, pow(sub(x, nearest), 3));
}
