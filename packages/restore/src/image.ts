/** Pixels on the host, and what is needed of them before and behind a network. */

/** An image: sRGB of three channels, 8 or 16 bits each, and perhaps its transparency. */
export interface RasterImage {
  readonly width: number;
  readonly height: number;
  /** `height * width * 3` values, row by row, red first; 255, or 65535 of 16 bits, is white. */
  readonly data: Uint8Array | Uint16Array;
  /** `height * width` opacities in the same range, 0 is transparent; left out or null: all is opaque. */
  readonly alpha?: Uint8Array | Uint16Array | null;
  /** Whether it has no colours: then what is made of it has none either. Default false. */
  readonly grey?: boolean;
}

/** Bits a channel. */
export type Depth = 8 | 16;

/** The value of white. */
export function whiteOf(values: Uint8Array | Uint16Array): number {
  return values instanceof Uint8Array ? 255 : 65535;
}

/** How many bits a channel of an image has. */
export function depthOf({ data }: Pick<RasterImage, "data">): Depth {
  return data instanceof Uint8Array ? 8 : 16;
}

/** Room for values of a depth. */
export function valuesOf(depth: Depth, length: number): Uint8Array | Uint16Array {
  return depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
}

/** @throws RangeError naming what does not fit together in an image */
export function checkImage({ width, height, data, alpha }: RasterImage): void {
  for (const [name, value] of Object.entries({ width, height })) {
    if (!(Number.isInteger(value) && value > 0))
      throw new RangeError(`restore: ${name} ${value} of the image must be a whole number above 0`);
  }
  if (!(data instanceof Uint8Array || data instanceof Uint16Array))
    throw new RangeError("restore: data of the image must be a Uint8Array or a Uint16Array");
  if (data.length !== width * height * 3) {
    throw new RangeError(
      `restore: data of the image has ${data.length} values: an RGB image of ${width}x${height} has ${width * height * 3}`,
    );
  }
  if (!alpha) return;
  if (alpha.length !== width * height)
    throw new RangeError(`restore: alpha of the image has ${alpha.length} values: expected ${width * height}`);
  if (whiteOf(alpha) !== whiteOf(data))
    throw new RangeError("restore: data and alpha of the image must have the same number of bits");
}

/** `i` where it lies in 0 … length-1, else its mirror image, the edge itself included twice. */
export function mirrored(i: number, length: number): number {
  if (i >= 0 && i < length) return i;
  const period = 2 * length;
  const at = ((i % period) + period) % period;
  return at < length ? at : period - 1 - at;
}
