/** What is measured of an enlarged image, and its means over a set. */
import { type Image, type NiqeModel, niqe, psnr, ssim } from "@deplsr/metrics";
import { gridPattern } from "./spectrum.ts";

/** Of one image; null where it cannot be measured: without an original, or of an image that is too small for it. */
export interface Scores {
  /** Decibels of the luma, and of the three channels; the border of `scale` pixels does not count, as in the papers. */
  readonly psnrY: number | null;
  readonly psnrRgb: number | null;
  readonly ssimY: number | null;
  /** Lower is better. */
  readonly niqe: number | null;
  /** See `GridPattern`. */
  readonly gridExcess: number | null;
  readonly gridLevels: number | null;
}

/** Measures a result. @param original null where nobody knows it */
export function scoresOf(
  result: Image,
  original: Image | null,
  { scale, niqeModel }: { readonly scale: number; readonly niqeModel: NiqeModel },
): Scores {
  const border = { cropBorder: scale } as const;
  const grid = gridPattern(result, scale);
  return {
    psnrY: original && psnr(result, original, { ...border, channels: "y" }),
    psnrRgb: original && psnr(result, original, { ...border, channels: "rgb" }),
    ssimY: original && ssim(result, original, { ...border, channels: "y" }),
    niqe: niqeOf(result, niqeModel),
    gridExcess: grid?.excess ?? null,
    gridLevels: grid?.levels ?? null,
  };
}

/** Null for an image that has no two blocks with texture. */
function niqeOf(image: Image, model: NiqeModel): number | null {
  try {
    return niqe(image, model);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/**
 * The means of several rows over the same images: those that every row has a number for, score by score.
 *
 * @param rows for each row, the scores of every image, in one order
 * @returns for each row its means; null where no image has a number in every row
 */
export function meansOf(rows: readonly (readonly Scores[])[]): Scores[] {
  const mean = (row: readonly Scores[], score: keyof Scores): number | null => {
    const used = row.filter((_, i) => rows.every((other) => other[i]![score] !== null));
    return used.length === 0 ? null : used.reduce((sum, scores) => sum + scores[score]!, 0) / used.length;
  };
  return rows.map((row) => ({
    psnrY: mean(row, "psnrY"),
    psnrRgb: mean(row, "psnrRgb"),
    ssimY: mean(row, "ssimY"),
    niqe: mean(row, "niqe"),
    gridExcess: mean(row, "gridExcess"),
    gridLevels: mean(row, "gridLevels"),
  }));
}
