import { checkImage, type PixelImage } from "./image.ts";

/**
 * Bicubic resizing of 8-bit images, bit for bit as the Python package PIL does it, which the published CLIP models were
 * trained with: separable, horizontal pass first, the filter widened when shrinking, weights in 22-bit fixed point, and
 * each pass rounded to 8 bits.
 */

/** Fraction bits of a weight: 32 less 8 for the pixel and 2 for overshoot. */
const WEIGHT_ONE = 2 ** 22;

/** Keys' cubic with a = −0.5, zero from 2 on. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

interface Taps {
  /** First input pixel of each output pixel. */
  readonly start: Int32Array;
  /** Fixed-point weights of each output pixel. */
  readonly weights: readonly Int32Array[];
}

function cubicTaps(inSize: number, outSize: number): Taps {
  const scale = inSize / outSize;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const start = new Int32Array(outSize);
  const weights = Array.from({ length: outSize }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inSize, Math.trunc(center + support + 0.5));
    const exact = Array.from({ length: end - first }, (_, tap) => cubic((first + tap - center + 0.5) / stretch));
    const total = exact.reduce((sum, weight) => sum + weight, 0);
    start[i] = first;
    return Int32Array.from(exact, (weight) => {
      const fixed = (weight / total) * WEIGHT_ONE;
      return Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    });
  });
  return { start, weights };
}

/** Resamples the middle axis of (outer, inSize, inner) to (outer, outSize, inner). */
function resampleAxis(
  data: ArrayLike<number>,
  outer: number,
  inSize: number,
  inner: number,
  outSize: number,
): Uint8Array {
  const { start, weights } = cubicTaps(inSize, outSize);
  const out = new Uint8ClampedArray(outer * outSize * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < outSize; i++) {
      const taps = weights[i]!;
      for (let c = 0; c < inner; c++) {
        let sum = WEIGHT_ONE / 2;
        let from = (o * inSize + start[i]!) * inner + c;
        for (let tap = 0; tap < taps.length; tap++, from += inner) sum += taps[tap]! * data[from]!;
        out[(o * outSize + i) * inner + c] = Math.floor(sum / WEIGHT_ONE);
      }
    }
  }
  return new Uint8Array(out.buffer);
}

/** Resizes an image to `width` x `height`; see the head of this file. */
export function resizeBicubic(image: PixelImage, width: number, height: number): PixelImage {
  checkImage("resizeBicubic", image);
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new RangeError(`resizeBicubic: cannot make an image of ${width}x${height} pixels`);
  }
  const { channels } = image;
  let data: ArrayLike<number> = image.data;
  if (width !== image.width) data = resampleAxis(data, image.height, image.width, channels, width);
  if (height !== image.height) data = resampleAxis(data, 1, image.height, width * channels, height);
  return { width, height, channels, data: Uint8Array.from(data) };
}
