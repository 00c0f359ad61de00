/** MATLAB's `imresize`, by which the super-resolution benchmarks' low-resolution images are made. */
import { add, clamp, floor, mul, resampleAxis, ShapeError, type Taps, type Tensor } from "@deplsr/tensor";
import { wholeLevels } from "./levels.ts";

/** How to resize. */
export interface ImresizeOptions {
  /** Widen the filter where the image shrinks. Default true. */
  readonly antialiasing?: boolean;
  /**
   * `float` (default): as of an image of doubles; the result may leave [0, 1]. `uint8`: as of an image of bytes, which MATLAB rounds between
   * the two passes, too; the result has 256 levels.
   */
  readonly form?: "float" | "uint8";
}

/**
 * Resizes with MATLAB's bicubic `imresize`: `images (b, c, h, w)` in [0, 1] → `(b, c, ⌈h·scale⌉, ⌈w·scale⌉)`, rows first. Keys' cubic with
 * a = −0.5, borders mirrored with the edge pixel repeated. The float form has a gradient.
 *
 * @throws ShapeError for a scale that leaves no image
 * @see BasicSR `matlab_functions.imresize` (the float form)
 */
export function imresize(
  images: Tensor,
  scale: number,
  { antialiasing = true, form = "float" }: ImresizeOptions = {},
): Tensor {
  const [, , h = 0, w = 0] = images.shape;
  if (images.rank !== 4 || h === 0 || w === 0 || !(scale > 0 && Number.isFinite(scale))) {
    throw new ShapeError(
      `imresize: images [${images.shape.join(", ")}] must be (b, c, h, w) with pixels, and scale ${scale} above 0`,
    );
  }
  const rows = mirroredTaps(h, scale, antialiasing);
  const columns = mirroredTaps(w, scale, antialiasing);
  if (form === "float") return resampleAxis(resampleAxis(images, 2, rows), 3, columns);
  const between = toByte(resampleAxis(wholeLevels(images), 2, rows));
  return mul(toByte(resampleAxis(between, 3, columns)), 1 / 255);
}

/** A byte as MATLAB makes it of a double: halves go up. */
function toByte(levels: Tensor): Tensor {
  return clamp(floor(add(levels, 0.5)), { min: 0, max: 255 });
}

const tables = new Map<string, Taps>();
/** More sizes than a data set has; beyond them the tables are made again. */
const MAX_TABLES = 64;

/** The filter along an axis of `size` pixels. Equal arguments give the same object, whose copy on a device is used again. */
function mirroredTaps(size: number, scale: number, antialiasing: boolean): Taps {
  const key = `${size},${scale},${antialiasing}`;
  const known = tables.get(key);
  if (known) return known;
  if (tables.size >= MAX_TABLES) tables.clear();
  const taps = makeTaps(size, scale, antialiasing);
  tables.set(key, taps);
  return taps;
}

function makeTaps(size: number, scale: number, antialiasing: boolean): Taps {
  const narrowing = antialiasing ? Math.min(scale, 1) : 1;
  const count = Math.ceil(4 / narrowing) + 2;
  const rows = Array.from({ length: Math.ceil(size * scale) }, (_, i) => {
    const centre = (i + 0.5) / scale - 0.5;
    const first = Math.floor(centre - 2 / narrowing);
    const weights = new Map<number, number>();
    for (let at = first; at < first + count; at++) {
      const weight = cubic(narrowing * (centre - at));
      const position = mirror(at, size);
      if (weight !== 0) weights.set(position, (weights.get(position) ?? 0) + weight);
    }
    return weights;
  });
  const start = Int32Array.from(rows, (weights) => Math.min(...weights.keys()));
  const tapCount = Math.max(...rows.map((weights, i) => Math.max(...weights.keys()) - start[i]! + 1));
  const table = new Float32Array(rows.length * tapCount);
  for (const [i, weights] of rows.entries()) {
    const sum = [...weights.values()].reduce((total, weight) => total + weight);
    for (const [position, weight] of weights) table[i * tapCount + position - start[i]!] = weight / sum;
  }
  return { outSize: rows.length, tapCount, start, weights: table };
}

/** Keys' cubic convolution kernel with a = −0.5. */
function cubic(distance: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

/** The pixel that a position beyond the border stands for: … 1 0 | 0 1 … n−1 | n−1 n−2 … */
function mirror(at: number, size: number): number {
  const folded = ((at % (2 * size)) + 2 * size) % (2 * size);
  return folded < size ? folded : 2 * size - 1 - folded;
}
