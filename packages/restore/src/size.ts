/** How large a result becomes. */
import type { Extent } from "./resample.ts";

/** What may be asked of a result's size; at most one of scale on the one hand, width and height on the other. */
export interface SizeOptions {
  /** Any number above 0. Default: the network's. */
  readonly scale?: number;
  /** In pixels. Where only one of the two is given, the other follows from the image's proportions. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * The size of what is made of an image.
 *
 * @param scale the network's
 * @throws RangeError when the options contradict each other or are no sizes
 */
export function resultSize(image: Extent, options: SizeOptions, scale: number): Extent {
  const { width, height } = options;
  for (const [name, value] of Object.entries({ width, height })) {
    if (value !== undefined && !(Number.isInteger(value) && value > 0))
      throw new RangeError(`restore: ${name} ${value} must be a whole number above 0`);
  }
  if (width === undefined && height === undefined) {
    const factor = options.scale ?? scale;
    if (!(Number.isFinite(factor) && factor > 0))
      throw new RangeError(`restore: scale ${factor} must be a number above 0`);
    return { width: rounded(image.width * factor), height: rounded(image.height * factor) };
  }
  if (options.scale !== undefined) throw new RangeError("restore: scale beside width or height: give either");
  return {
    width: width ?? rounded((image.width * height!) / image.height),
    height: height ?? rounded((image.height * width!) / image.width),
  };
}

function rounded(pixels: number): number {
  return Math.max(1, Math.round(pixels));
}
