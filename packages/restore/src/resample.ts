/** Bringing images to another size, strip by strip. */
import type { RasterImage } from "./image.ts";
import { whiteOf } from "./image.ts";
import type { Strip, Strips } from "./strip.ts";

/** Rows that are made at a time. */
const ROWS = 64;

/** Width and height in pixels. */
export interface Extent {
  readonly width: number;
  readonly height: number;
}

/** For each position of an axis of the result, where its taps begin and their weights. */
export interface Taps {
  readonly first: Int32Array;
  readonly weights: readonly Float32Array[];
}

/** Keys' cubic convolution with a = -0.5. @see Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP 29(6), 1981, eq. 4 */
function cubic(t: number): number {
  const x = Math.abs(t);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** The taps of cubic interpolation, made wider by as much as the axis becomes shorter; beyond the edges the edge is repeated. */
export function cubicTaps(from: number, to: number): Taps {
  const step = from / to;
  const widening = Math.max(1, step);
  const first = new Int32Array(to);
  const weights = Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * step - 0.5;
    const low = Math.floor(center - 2 * widening) + 1;
    const high = Math.ceil(center + 2 * widening) - 1;
    const start = Math.min(from - 1, Math.max(0, low));
    const end = Math.min(from - 1, Math.max(0, high));
    first[i] = start;
    const taps = new Float64Array(end - start + 1);
    let sum = 0;
    for (let at = low; at <= high; at++) {
      const weight = cubic((at - center) / widening);
      taps[Math.min(end, Math.max(start, at)) - start]! += weight;
      sum += weight;
    }
    return Float32Array.from(taps, (weight) => weight / sum);
  });
  return { first, weights };
}

/** An image in strips, brought to another size; itself where it has that size. */
export async function* resampled(strips: Strips, from: Extent, to: Extent, channels: number): AsyncGenerator<Strip> {
  if (from.width === to.width && from.height === to.height) {
    yield* strips;
    return;
  }
  const [down, across] = [cubicTaps(from.height, to.height), cubicTaps(from.width, to.width)];
  const row = to.width * channels;
  // Rows of the input that are still needed, already of the width of the result.
  let kept: Float32Array[] = [];
  let base = 0;
  let next = 0;
  for await (const strip of strips) {
    for (let y = 0; y < strip.rows; y++) {
      const line = strip.data.subarray(y * from.width * channels, (y + 1) * from.width * channels);
      kept.push(resampledRow(line, across, to.width, channels));
    }
    const reaches = (row: number): boolean => row < to.height && lastTap(down, row) < base + kept.length;
    while (reaches(next)) {
      const top = next;
      while (next - top < ROWS && reaches(next)) next += 1;
      const data = new Float32Array((next - top) * row);
      for (let y = top; y < next; y++) {
        const weights = down.weights[y]!;
        const target = data.subarray((y - top) * row, (y - top + 1) * row);
        for (const [k, weight] of weights.entries()) {
          const source = kept[down.first[y]! + k - base]!;
          for (let i = 0; i < row; i++) target[i]! += source[i]! * weight;
        }
      }
      yield { top, rows: next - top, data };
    }
    const needed = next < to.height ? down.first[next]! : from.height;
    kept = kept.slice(needed - base);
    base = needed;
  }
}

function lastTap({ first, weights }: Taps, i: number): number {
  return first[i]! + weights[i]!.length - 1;
}

function resampledRow(line: Float32Array, { first, weights }: Taps, width: number, channels: number): Float32Array {
  const result = new Float32Array(width * channels);
  for (let x = 0; x < width; x++) {
    const taps = weights[x]!;
    const start = first[x]! * channels;
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let k = 0; k < taps.length; k++) sum += line[start + k * channels + c]! * taps[k]!;
      result[x * channels + c] = sum;
    }
  }
  return result;
}

/** An image's colours in strips. */
export function colourStrips({ data, width, height }: RasterImage): Strips {
  return stripsOf(data, width * 3, height);
}

/** An image's opacity in strips. */
export function opacityStrips(alpha: Uint8Array | Uint16Array, { width, height }: Extent): Strips {
  return stripsOf(alpha, width, height);
}

async function* stripsOf(values: Uint8Array | Uint16Array, row: number, height: number): AsyncGenerator<Strip> {
  const white = whiteOf(values);
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    yield { top, rows, data: Float32Array.from(values.subarray(top * row, (top + rows) * row), (v) => v / white) };
  }
}
