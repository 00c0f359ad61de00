/** The stages from their definitions (spec: degradation), as loops in double precision. Images are (b, c, h, w). */
import { type NdArray, ndarray } from "@deplsr/tensor/testing";

type Size = readonly [b: number, c: number, h: number, w: number];

const sizeOf = (x: NdArray): Size => x.shape as unknown as Size;

/** An image of new height and width whose pixels are given by a function of plane, row and column. */
function image(x: NdArray, h: number, w: number, pixel: (plane: number, i: number, j: number) => number): NdArray {
  const [b, c] = sizeOf(x);
  const data = Float64Array.from({ length: b * c * h * w }, (_, at) =>
    pixel(Math.floor(at / (h * w)), Math.floor(at / w) % h, at % w),
  );
  return ndarray([b, c, h, w], data);
}

/** Cross-correlation with reflected borders; one kernel, or one for each image. */
export function filterReference(x: NdArray, kernels: readonly ArrayLike<number>[]): NdArray {
  const [, c, h, w] = sizeOf(x);
  const k = Math.sqrt(kernels[0]!.length);
  const mirror = (i: number, size: number): number => (i < 0 ? -i : i >= size ? 2 * size - 2 - i : i);
  return image(x, h, w, (plane, i, j) => {
    const kernel = kernels[kernels.length === 1 ? 0 : Math.floor(plane / c)]!;
    let total = 0;
    for (let at = 0; at < k * k; at++) {
      const row = mirror(i + Math.floor(at / k) - (k - 1) / 2, h);
      const column = mirror(j + (at % k) - (k - 1) / 2, w);
      total += kernel[at]! * x.data[(plane * h + row) * w + column]!;
    }
    return total;
  });
}

/** Unsharp masking with a Gaussian kernel. */
export function usmReference(x: NdArray, kernel: ArrayLike<number>, weight: number, threshold: number): NdArray {
  const [, , h, w] = sizeOf(x);
  const blurred = filterReference(x, [kernel]).data;
  const detail = x.data.map((value, i) => value - blurred[i]!);
  const mask = ndarray(
    x.shape,
    detail.map((value) => (Math.abs(value) * 255 > threshold ? 1 : 0)),
  );
  const soft = filterReference(mask, [kernel]).data;
  return image(x, h, w, (plane, i, j) => {
    const at = (plane * h + i) * w + j;
    const sharp = Math.min(1, Math.max(0, x.data[at]! + weight * detail[at]!));
    return soft[at]! * sharp + (1 - soft[at]!) * x.data[at]!;
  });
}

/** Filters rows, then columns: `weight` tells how much the input `from` adds to the output `to` of an axis of `size`. */
function separable(
  x: NdArray,
  [outH, outW]: readonly [number, number],
  weight: (to: number, at: number, size: number, out: number) => number,
): NdArray {
  const [, , h, w] = sizeOf(x);
  const rows = image(x, outH, w, (plane, i, j) => {
    let total = 0;
    for (let at = 0; at < h; at++) total += weight(i, at, h, outH) * x.data[(plane * h + at) * w + j]!;
    return total;
  });
  return image(rows, outH, outW, (plane, i, j) => {
    let total = 0;
    for (let at = 0; at < w; at++) total += weight(j, at, w, outW) * rows.data[(plane * outH + i) * w + at]!;
    return total;
  });
}

function cubic(distance: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return 1.5 * d ** 3 - 2.5 * d ** 2 + 1;
  return d < 2 ? -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2 : 0;
}

/** PyTorch's antialiased bicubic and bilinear resizing while an image shrinks: filters that end at the border, normalised. */
export function antialiasReference(x: NdArray, mode: "bilinear" | "bicubic", size: readonly [number, number]): NdArray {
  const kernel = mode === "bicubic" ? cubic : (d: number) => Math.max(0, 1 - Math.abs(d));
  return separable(x, size, (to, at, length, out) => {
    const step = length / out;
    const value = (from: number): number => kernel((from + 0.5 - (to + 0.5) * step) / step);
    let total = 0;
    for (let from = 0; from < length; from++) total += value(from);
    return value(at) / total;
  });
}

/** MATLAB's imresize: the image goes on mirrored, edge pixels repeated, for ever. */
export function imresizeReference(x: NdArray, scale: number, antialiasing = true): NdArray {
  const [, , h, w] = sizeOf(x);
  const narrowing = antialiasing ? Math.min(1, scale) : 1;
  const reach = Math.ceil(2 / narrowing) + 1;
  return separable(x, [Math.ceil(h * scale), Math.ceil(w * scale)], (to, at, size) => {
    const centre = (to + 0.5) / scale - 0.5;
    let [total, own] = [0, 0];
    for (let from = Math.floor(centre) - reach; from <= centre + reach; from++) {
      const value = cubic(narrowing * (centre - from));
      const folded = ((from % (2 * size)) + 2 * size) % (2 * size);
      total += value;
      if (at === Math.min(folded, 2 * size - 1 - folded)) own += value;
    }
    return own / total;
  });
}

/** The quantisation tables of the standard (ITU-T T.81, annex K.1), which DiffJPEG transposes. */
// biome-ignore format: a table
const LUMA = [
  [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
  [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
  [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
];
// biome-ignore format: a table
const CHROMA = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]];

/** DiffJPEG of images whose sides are multiples of 16, with a quality for each. */
export function jpegReference(x: NdArray, qualities: readonly number[], round: (x: number) => number): NdArray {
  const [b, , h, w] = sizeOf(x);
  const out = new Float64Array(x.data.length);
  for (let n = 0; n < b; n++) {
    const q = qualities[n]!;
    const factor = q < 50 ? 50 / q : (200 - 2 * q) / 100;
    const rgb = (c: number, i: number, j: number): number => 255 * x.data[((n * 3 + c) * h + i) * w + j]!;
    const mixed =
      (red: number, green: number, blue: number, shift: number) =>
      (i: number, j: number): number =>
        red * rgb(0, i, j) + green * rgb(1, i, j) + blue * rgb(2, i, j) + shift;
    const halved =
      (plane: (i: number, j: number) => number) =>
      (i: number, j: number): number =>
        (plane(2 * i, 2 * j) + plane(2 * i + 1, 2 * j) + plane(2 * i, 2 * j + 1) + plane(2 * i + 1, 2 * j + 1)) / 4;
    const luma = blocks(h, w, mixed(0.299, 0.587, 0.114, 0), (u, v) => LUMA[v]![u]! * factor, round);
    const [cb, cr] = [mixed(-0.168736, -0.331264, 0.5, 128), mixed(0.5, -0.418688, -0.081312, 128)].map((plane) =>
      blocks(h / 2, w / 2, halved(plane), (u, v) => (CHROMA[v]?.[u] ?? 99) * factor, round),
    ) as [Float64Array, Float64Array];
    for (let i = 0; i < h; i++) {
      for (let j = 0; j < w; j++) {
        const small = Math.floor(i / 2) * (w / 2) + Math.floor(j / 2);
        const [y, blue, red] = [luma[i * w + j]!, cb[small]! - 128, cr[small]! - 128];
        const pixel = [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue];
        for (const [c, value] of pixel.entries())
          out[((n * 3 + c) * h + i) * w + j] = Math.min(255, Math.max(0, value)) / 255;
      }
    }
  }
  return ndarray(x.shape, out);
}

/** Transforms, quantises and restores the blocks of a plane. */
function blocks(
  h: number,
  w: number,
  plane: (i: number, j: number) => number,
  step: (u: number, v: number) => number,
  round: (x: number) => number,
): Float64Array {
  const wave = (x: number, u: number): number =>
    0.5 * (u === 0 ? Math.SQRT1_2 : 1) * Math.cos(((2 * x + 1) * u * Math.PI) / 16);
  const out = new Float64Array(h * w).fill(128);
  for (let i = 0; i < h; i += 8) {
    for (let j = 0; j < w; j += 8) {
      for (let uv = 0; uv < 64; uv++) {
        const [u, v] = [Math.floor(uv / 8), uv % 8];
        let frequency = 0;
        for (let xy = 0; xy < 64; xy++) {
          const [x, y] = [Math.floor(xy / 8), xy % 8];
          frequency += (plane(i + x, j + y) - 128) * wave(x, u) * wave(y, v);
        }
        const restored = round(frequency / step(u, v)) * step(u, v);
        for (let xy = 0; xy < 64; xy++) {
          const [x, y] = [Math.floor(xy / 8), xy % 8];
          out[(i + x) * w + j + y]! += restored * wave(x, u) * wave(y, v);
        }
      }
    }
  }
  return out;
}
