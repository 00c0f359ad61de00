import type { Plane } from "./image.ts";

/**
 * Resizes a plane as MATLAB's `imresize(plane, scale, "bicubic")` does in double precision: antialiased where it gets smaller, borders
 * mirrored. A side becomes `⌈side · scale⌉`.
 *
 * @see BasicSR `utils/matlab_functions.py`
 */
export function imresize(plane: Plane, scale: number): Plane {
  return resizeColumnsToRows(resizeColumnsToRows(plane, scale), scale);
}

/** Resizes along the columns and transposes: twice is both axes, the columns first as MATLAB does. */
function resizeColumnsToRows({ width, height, data }: Plane, scale: number): Plane {
  const size = Math.ceil(height * scale);
  const result = new Float64Array(size * width);
  for (let i = 0; i < size; i++) {
    for (const { from, weight } of taps(i, height, scale)) {
      for (let x = 0; x < width; x++) result[x * size + i]! += weight * data[from * width + x]!;
    }
  }
  return { width: size, height: width, data: result };
}

/** Which of `size` samples make up sample `i` of the result, with weights of sum 1. */
function taps(i: number, size: number, scale: number): { from: number; weight: number }[] {
  const shrink = Math.min(scale, 1);
  const radius = 2 / shrink;
  const centre = (i + 0.5) / scale - 0.5;
  const first = Math.floor(centre - radius);
  const weights = Array.from({ length: Math.ceil(2 * radius) + 2 }, (_, k) => cubic(shrink * (centre - first - k)));
  const sum = weights.reduce((total, weight) => total + weight);
  return weights.flatMap((weight, k) =>
    weight === 0 ? [] : [{ from: mirror(first + k, size), weight: weight / sum }],
  );
}

/** Keys' cubic convolution, a = -1/2. */
function cubic(x: number): number {
  const d = Math.abs(x);
  if (d >= 2) return 0;
  return d <= 1 ? (1.5 * d - 2.5) * d * d + 1 : ((-0.5 * d + 2.5) * d - 4) * d + 2;
}

/** The index inside 0 … size - 1 that mirroring at the borders, the border sample included, leads to. */
function mirror(index: number, size: number): number {
  const period = 2 * size;
  const at = ((index % period) + period) % period;
  return at < size ? at : period - 1 - at;
}
