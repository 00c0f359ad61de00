/** Whether an enlarged image has a pattern that repeats with every pixel of what it was made of, as a pixel shuffle may leave it. */
import { type Image, luma } from "@deplsr/metrics";

/** Side of the square that is looked at, where the image has room for it; a smaller power of two elsewhere. */
const LARGEST = 256;
const SMALLEST = 64;
/** Bins to either side of a frequency that are its own: a Hann window spreads one frequency over them. */
const NEAR = 1;
/** The ring of its neighbours, from and to this many bins away. */
const RING = [4, 8] as const;

/** A pattern that repeats with the grid. */
export interface GridPattern {
  /** How far the power at the grid's frequencies stands out from that of their neighbours; 1 where it does not. */
  readonly excess: number;
  /** The root of the pattern's mean square, in levels of 8 bits: what of that power is more than the neighbours'. */
  readonly levels: number;
}

/**
 * What repeats every `scale` pixels along both axes has all its power at the frequencies `(k / scale, l / scale)` cycles a pixel, whole `k` and `l` below
 * `scale`; all of them but (0, 0) are looked at. Of the luma of the middle square (256 pixels, or the largest power of two that fits), less its mean and
 * under a Hann window, the mean power of the 3 x 3 bins around each is divided by the mean power of the bins 4 to 8 away (the larger of both distances);
 * `excess` is the mean of these ratios. The window leaves 9 / 64 of a pattern's power, all of it in these 3 x 3 bins: `levels` follows from what they hold
 * more than nine of their neighbours, over all frequencies.
 *
 * Photographs have both themselves, for their vertical and horizontal lines lie on the axes: compare with the original's.
 *
 * @returns null for an image without 64 x 64 pixels, or a flat one
 */
export function gridPattern(image: Image, scale: number): GridPattern | null {
  const side = squareSide(image);
  if (side < SMALLEST) return null;
  const power = powerSpectrum(windowed(image, side), side);
  const ratios: number[] = [];
  let more = 0;
  for (let k = 0; k < scale; k++) {
    for (let l = 0; l < scale; l++) {
      if (k === 0 && l === 0) continue;
      const [row, column] = [Math.round((k * side) / scale), Math.round((l * side) / scale)];
      const own = meanAround(power, side, row, column, [0, NEAR]);
      const others = meanAround(power, side, row, column, RING);
      ratios.push(own / others);
      more += (2 * NEAR + 1) ** 2 * (own - others);
    }
  }
  const excess = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  const levels = Math.sqrt(Math.max(0, more) / (side ** 4 * (9 / 64)));
  return Number.isFinite(excess) ? { excess, levels } : null;
}

/** The largest power of two that both sides have room for, up to `LARGEST`. */
function squareSide({ width, height }: Image): number {
  return Math.min(LARGEST, 2 ** Math.floor(Math.log2(Math.min(width, height))));
}

/** Luma of the middle square, row by row, without its mean, faded out towards the borders. */
function windowed({ width, height, data }: Image, side: number): Float64Array {
  const [left, top] = [(width - side) >> 1, (height - side) >> 1];
  const values = Float64Array.from({ length: side * side }, (_, i) => {
    const at = 3 * ((top + Math.floor(i / side)) * width + left + (i % side));
    return luma(data[at]!, data[at + 1]!, data[at + 2]!);
  });
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const hann = Float64Array.from({ length: side }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / side));
  return values.map((value, i) => (value - mean) * hann[Math.floor(i / side)]! * hann[i % side]!);
}

/** Mean power of the bins whose larger distance from (row, column), around the borders, is within two ends. */
function meanAround(
  power: Float64Array,
  side: number,
  row: number,
  column: number,
  [from, to]: readonly [number, number],
): number {
  let [sum, count] = [0, 0];
  for (let dy = -to; dy <= to; dy++) {
    for (let dx = -to; dx <= to; dx++) {
      if (Math.max(Math.abs(dy), Math.abs(dx)) < from) continue;
      sum += power[((row + dy + side) % side) * side + ((column + dx + side) % side)]!;
      count += 1;
    }
  }
  return sum / count;
}

/** Squared magnitudes of the discrete Fourier transform of real values (side, side). @param side a power of two */
export function powerSpectrum(values: Float64Array, side: number): Float64Array {
  const [real, imaginary] = [values.slice(), new Float64Array(values.length)];
  for (let i = 0; i < side; i++) transform(real, imaginary, i * side, 1, side);
  for (let i = 0; i < side; i++) transform(real, imaginary, i, side, side);
  return real.map((value, i) => value ** 2 + imaginary[i]! ** 2);
}

/** The transform of `count` values that lie `step` apart, in place (Cooley and Tukey's, with bits reversed first). */
function transform(real: Float64Array, imaginary: Float64Array, first: number, step: number, count: number): void {
  const swap = (array: Float64Array, i: number, j: number): void => {
    [array[first + i * step], array[first + j * step]] = [array[first + j * step]!, array[first + i * step]!];
  };
  for (let i = 1, j = 0; i < count; i++) {
    let bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    swap(real, i, j);
    swap(imaginary, i, j);
  }
  for (let half = 1; half < count; half *= 2) {
    for (let k = 0; k < half; k++) {
      const [cosine, sine] = [Math.cos((Math.PI * k) / half), -Math.sin((Math.PI * k) / half)];
      for (let start = k; start < count; start += 2 * half) {
        const [a, b] = [first + start * step, first + (start + half) * step];
        const re = real[b]! * cosine - imaginary[b]! * sine;
        const im = real[b]! * sine + imaginary[b]! * cosine;
        real[b] = real[a]! - re;
        imaginary[b] = imaginary[a]! - im;
        real[a]! += re;
        imaginary[a]! += im;
      }
    }
  }
}
