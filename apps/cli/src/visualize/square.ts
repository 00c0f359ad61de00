/** The part of a photograph that a network is shown. */
import { squaresForPrompt } from "@deplsr/restore";
import { crop, fromPlanes, type Rectangle } from "../data/crop.ts";
import type { Image } from "../data/image.ts";
import { UsageError } from "../errors.ts";

/** What an SRCLIP is shown. */
export interface Square {
  /** Planes (3, size, size) in [0, 1]. */
  readonly planes: Float32Array;
  /** The same with 8 bits, to be drawn on. */
  readonly image: Image;
  /** The part of the photograph at native resolution; null: all of it, squashed. */
  readonly part: Rectangle | null;
}

/**
 * The square of a photograph that an SRCLIP sees: the middle one at native resolution, the corner on JPEG's grid, or another one; or all of it
 * squashed, which a photograph smaller than the square is too.
 *
 * @param at "x,y" of the corner of another square
 * @throws UsageError when that is no corner of a square, or there are no squares to choose from
 */
export function squareOf(image: Image, size: number, fit: "crop" | "squash", at: string | undefined): Square {
  const native = fit === "crop" && image.width >= size && image.height >= size;
  if (!native && at !== undefined) {
    const why = fit === "crop" ? `the photograph is smaller than its squares of ${size}` : "this SRCLIP sees it whole";
    throw new UsageError(`--square ${at}: there is nothing to choose, ${why}: leave it out`);
  }
  const part = native ? (at === undefined ? middleOf(image, size) : cornerOf(image, size, at)) : null;
  const planes = squaresForPrompt(part === null ? image : crop(image, part), size, "squash")[0]!;
  return { planes, image: fromPlanes(planes, size, size)[0]!, part };
}

/** The middle of a photograph, no larger than it, with the corner on the grid of JPEG's blocks. */
export function middleOf(image: Pick<Image, "width" | "height">, size: number): Rectangle {
  const [width, height] = [Math.min(size, image.width), Math.min(size, image.height)];
  const start = (from: number, to: number): number => 8 * Math.floor((from - to) / 16);
  return { left: start(image.width, width), top: start(image.height, height), width, height };
}

/** A photograph with a white and black frame around a part of it. */
export function framed(image: Image, { left, top, width, height }: Rectangle): Image {
  const thick = Math.max(1, Math.round(Math.max(image.width, image.height) / 250));
  const data = Uint8Array.from(image.data);
  for (let y = Math.max(0, top - 2 * thick); y < Math.min(image.height, top + height + 2 * thick); y++) {
    for (let x = Math.max(0, left - 2 * thick); x < Math.min(image.width, left + width + 2 * thick); x++) {
      const out = Math.max(left - x, x - (left + width - 1), top - y, y - (top + height - 1));
      if (out > 0) data.fill(out > thick ? 0 : 255, 3 * (y * image.width + x), 3 * (y * image.width + x) + 3);
    }
  }
  return { ...image, data };
}

function cornerOf({ width, height }: Image, size: number, at: string): Rectangle {
  const [, x, y] = /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(at) ?? [];
  const [left, top] = [Number(x), Number(y)];
  if (!(left <= width - size && top <= height - size)) {
    throw new UsageError(
      `--square ${at} must be x,y with x from 0 to ${width - size} and y from 0 to ${height - size}: ` +
        `the photograph has ${width}x${height} pixels, a square ${size}`,
    );
  }
  return { left, top, width: size, height: size };
}
