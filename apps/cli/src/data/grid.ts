import type { Rectangle } from "./crop.ts";

/** How an image is cut into squares that overlap. */
export interface GridOptions {
  /** Side of the squares in pixels. */
  readonly size: number;
  /** From one square to the next. */
  readonly step: number;
  /** What is left at the right and at the bottom gets squares of its own, flush with the border, when it is wider than this. */
  readonly threshold: number;
}

/** The squares of an image, row by row; none where it is smaller than one. @see BasicSR `extract_subimages.py` */
export function gridOf({ width, height }: { width: number; height: number }, options: GridOptions): Rectangle[] {
  const { size } = options;
  const columns = places(width, options);
  return places(height, options).flatMap((top) => columns.map((left) => ({ left, top, width: size, height: size })));
}

function places(length: number, { size, step, threshold }: GridOptions): number[] {
  if (length < size) return [];
  const starts = Array.from({ length: Math.floor((length - size) / step) + 1 }, (_, i) => i * step);
  return length - (starts.at(-1)! + size) > threshold ? [...starts, length - size] : starts;
}
