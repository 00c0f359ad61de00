/** PNG files whose values a canvas would change: with opacity, or of 16 bits. */
import type { Pixels } from "@deplsr/photo";
import { convertIndexedToRgb, type DecodedPng, decode } from "fast-png";
import { checkPhotoSize } from "../client/limits.ts";

type Values = Uint8Array | Uint16Array;

/** Decodes a PNG. @param orientation as EXIF counts; 1 is upright @throws Error with one line where it is damaged */
export function decodePng(bytes: Uint8Array, orientation: number): Pixels {
  let png: DecodedPng;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`it is truncated or damaged (${why}): get the file again`);
  }
  checkPhotoSize(png.width, png.height);
  return upright(separated(png), orientation);
}

/** Colours and opacities apart; grey is repeated. */
function separated(png: DecodedPng): Pixels {
  const { width, height, palette, transparency } = png;
  const values = (palette ? convertIndexedToRgb(png) : scaled(png)) as Values;
  const channels = values.length / (width * height);
  const depth = values instanceof Uint16Array ? 16 : 8;
  const white = depth === 16 ? 65535 : 255;
  const room = (length: number): Values => (depth === 16 ? new Uint16Array(length) : new Uint8Array(length));
  const [data, alpha] = [room(width * height * 3), room(width * height)];
  const grey = channels < 3;
  // One colour that is transparent, at the file's own depth.
  const clear =
    !palette && transparency?.length ? Array.from(transparency, (value) => value * stretch(png.depth)) : null;
  for (let i = 0; i < width * height; i++) {
    const at = i * channels;
    for (let c = 0; c < 3; c++) data[i * 3 + c] = values[at + (grey ? 0 : c)]!;
    const hidden = clear?.every((value, c) => values[at + c] === value) ?? false;
    alpha[i] = channels % 2 === 0 ? values[at + channels - 1]! : hidden ? 0 : white;
  }
  return { width, height, depth, data, alpha, profile: null };
}

/** What a value of fewer than 8 bits is multiplied by. */
function stretch(depth: number): number {
  return depth < 8 ? 255 / (2 ** depth - 1) : 1;
}

/** Values of 8 or 16 bits; fewer are packed, several in a byte. */
function scaled({ data, depth, width, height }: DecodedPng): Values {
  if (depth >= 8) return data as Values;
  const perRow = Math.ceil((width * depth) / 8);
  const values = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const packed = data[y * perRow + (bit >> 3)]! >> (8 - depth - (bit & 7));
      values[y * width + x] = (packed & (2 ** depth - 1)) * stretch(depth);
    }
  }
  return values;
}

/** Turned and mirrored as EXIF's orientation says: 5 to 8 exchange rows and columns. */
function upright(pixels: Pixels, orientation: number): Pixels {
  if (orientation <= 1 || orientation > 8) return pixels;
  const { width: w, height: h } = pixels;
  const turned = orientation >= 5;
  const [width, height] = turned ? [h, w] : [w, h];
  const mirrorX = [2, 3, 6, 7].includes(orientation);
  const mirrorY = [3, 4, 7, 8].includes(orientation);
  const move = (values: Values, channels: number): Values => {
    const result = values.slice();
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [along, down] = [mirrorX ? width - 1 - x : x, mirrorY ? height - 1 - y : y];
        const from = turned ? along * w + down : down * w + along;
        for (let c = 0; c < channels; c++) result[(y * width + x) * channels + c] = values[from * channels + c]!;
      }
    }
    return result;
  };
  const { data, alpha } = pixels;
  return { ...pixels, width, height, data: move(data, 3), alpha: alpha && move(alpha, 1) };
}
