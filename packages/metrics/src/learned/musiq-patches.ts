import { interpolate, pad, permute, reshape, type Tensor } from "@deplsr/tensor";
import { roundHalfToEven } from "../color.ts";

/** An image in one of the sizes that MUSIQ looks at, cut into patches. */
export interface PatchGrid {
  /** `(b, rows · columns, 3, p, p)`, row by row */
  readonly patches: Tensor;
  readonly rows: number;
  readonly columns: number;
}

/**
 * The images `(b, 3, h, w)` that MUSIQ cuts into patches: with each of the longer sides, then as it is. Sizes are rounded with halves to
 * even; bicubic (a = −0.75) without antialiasing.
 */
export function musiqScales(image: Tensor, longerSides: readonly number[]): Tensor[] {
  const [height, width] = image.shape.slice(2) as [number, number];
  const resized = longerSides.map((side) => {
    const ratio = side / Math.max(height, width);
    return interpolate(image, {
      mode: "bicubic",
      size: [roundHalfToEven(height * ratio), roundHalfToEven(width * ratio)],
    });
  });
  return [...resized, image];
}

/** Cuts images `(b, 3, h, w)` into patches of side `p`; zeros around them complete the last ones, the smaller half in front. */
export function musiqPatches(image: Tensor, p: number): PatchGrid {
  const [b, channels, height, width] = image.shape as [number, number, number, number];
  const [rows, columns] = [Math.ceil(height / p), Math.ceil(width / p)];
  const padded = pad(image, [[0, 0], [0, 0], around(rows * p - height), around(columns * p - width)]);
  const cut = permute(reshape(padded, [b, channels, rows, p, columns, p]), [0, 2, 4, 1, 3, 5]);
  return { patches: reshape(cut, [b, rows * columns, channels, p, p]), rows, columns };
}

/** A padding in two halves, the smaller one in front. */
export function around(total: number): [before: number, after: number] {
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** The cell of a `grid × grid` table that each patch of `rows × columns` falls on. In f32, as the reference divides. */
export function musiqCells(rows: number, columns: number, grid: number): Int32Array {
  const cell = (i: number, count: number): number =>
    Math.min(Math.floor(Math.fround(i * Math.fround(grid / count))), grid - 1);
  return Int32Array.from(
    { length: rows * columns },
    (_, i) => grid * cell(Math.floor(i / columns), rows) + cell(i % columns, columns),
  );
}
