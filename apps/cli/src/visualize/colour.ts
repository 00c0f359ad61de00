/** Colours for values: matplotlib's viridis, from anchors. */
import type { Image } from "../data/image.ts";

/** Red, green and blue, 0..255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** Viridis at 0, 1/8 ... 1. @see https://bids.github.io/colormap/ */
const VIRIDIS: readonly Rgb[] = [
  [68, 1, 84],
  [71, 45, 123],
  [59, 82, 139],
  [44, 114, 142],
  [33, 145, 140],
  [40, 174, 128],
  [94, 201, 98],
  [173, 220, 48],
  [253, 231, 37],
];

/** The colour of a value in [0, 1], dark violet to yellow; what lies outside is taken for the nearer end. */
export function viridis(value: number): Rgb {
  const at = Math.min(1, Math.max(0, value)) * (VIRIDIS.length - 1);
  const first = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const [low, high] = [VIRIDIS[first]!, VIRIDIS[first + 1]!];
  const mixed = (channel: 0 | 1 | 2): number =>
    Math.round(low[channel] + (high[channel] - low[channel]) * (at - first));
  return [mixed(0), mixed(1), mixed(2)];
}

/** Values in rows, `height * width` of them. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly values: ArrayLike<number>;
}

/** The smallest and the largest value. */
export function range({ values }: Pick<Plane, "values">): { min: number; max: number } {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    min = Math.min(min, values[i]!);
    max = Math.max(max, values[i]!);
  }
  return { min, max };
}

/** Spans below this share of the largest value are rounding of f32, and drawn as none. */
const EVEN = 1e-5;

/** Whether all values are the same but for rounding. */
export function isEven(plane: Pick<Plane, "values">): boolean {
  const { min, max } = range(plane);
  return max - min <= EVEN * Math.max(Math.abs(min), Math.abs(max));
}

/**
 * Values from 0 at the smallest to 1 at the largest; all 0 where they are even.
 *
 * @param beyond the share of the values at either end that may lie outside of [0, 1], so that a few do not take all the contrast
 */
export function stretched(plane: Plane, beyond = 0): Plane {
  if (isEven(plane)) return { ...plane, values: new Float64Array(plane.values.length) };
  const sorted = Float64Array.from(plane.values).sort();
  const skipped = Math.floor(beyond * sorted.length);
  const inner = sorted.subarray(skipped, sorted.length - skipped);
  const { min, max } = range({ values: isEven({ values: inner }) ? sorted : inner });
  return { ...plane, values: Float64Array.from(plane.values, (value) => (value - min) / (max - min)) };
}

/** A plane of values in [0, 1] as a picture. @param colour of a value, `viridis` by default */
export function painted({ width, height, values }: Plane, colour: (value: number) => Rgb = viridis): Image {
  const data = new Uint8Array(3 * values.length);
  for (let i = 0; i < values.length; i++) data.set(colour(values[i]!), 3 * i);
  return { width, height, data };
}

/** The grey of a value in [0, 1]. */
export function grey(value: number): Rgb {
  const level = Math.round(255 * Math.min(1, Math.max(0, value)));
  return [level, level, level];
}

/** A plane enlarged to a picture's size by bilinear interpolation, stretched, coloured, and laid over the picture's grey; grey alone where the values are even. */
export function overlaid(plane: Plane, { width, height, data }: Image): Image {
  const { values } = enlarged(stretched(plane), width, height);
  const share = isEven(plane) ? 0 : COLOURED;
  const mixed = new Uint8Array(data.length);
  for (let i = 0; i < values.length; i++) {
    const luma = 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!;
    const colour = viridis(values[i]!);
    for (let c = 0; c < 3; c++) mixed[3 * i + c] = Math.round(share * colour[c]! + (1 - share) * luma);
  }
  return { width, height, data: mixed };
}

/** The share of the colours in an overlay: as much as leaves the picture recognisable. */
const COLOURED = 0.6;

/** Bilinear, pixels being squares: half a pixel at the border repeats the outermost values. */
export function enlarged({ width: w, height: h, values }: Plane, width: number, height: number): Plane {
  const result = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const [top, bottom, down] = between(y, height, h);
    for (let x = 0; x < width; x++) {
      const [left, right, along] = between(x, width, w);
      const row = (at: number): number => values[at * w + left]! * (1 - along) + values[at * w + right]! * along;
      result[y * width + x] = row(top) * (1 - down) + row(bottom) * down;
    }
  }
  return { width, height, values: result };
}

/** The two of `from` positions that position `at` of `to` lies between, and how far towards the second. */
function between(at: number, to: number, from: number): [first: number, second: number, part: number] {
  const source = Math.min(from - 1, Math.max(0, ((at + 0.5) * from) / to - 0.5));
  const first = Math.floor(source);
  return [first, Math.min(first + 1, from - 1), source - first];
}
