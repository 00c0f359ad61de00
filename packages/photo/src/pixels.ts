/** Pixels between the arrangements that readers, networks and encoders want. */
import { joined } from "./bytes.ts";
import type { Pixels } from "./photo.ts";
import type { Sink } from "./row-strips.ts";

type Values = Uint8Array | Uint16Array;

/** Values that are copied at a time. */
const PIECE = 2 ** 21;

/** Ranges of rows of a few MB. */
export function* pieces({
  width,
  height,
}: Pick<Pixels, "width" | "height">): Generator<readonly [top: number, bottom: number]> {
  const rows = Math.max(1, Math.floor(PIECE / (width * 4)));
  for (let top = 0; top < height; top += rows) yield [top, Math.min(height, top + rows)];
}

/** Rows of a picture as a file has them: grey, grey and opacity, RGB, RGB and opacity. */
export function interleave(
  { width, data, alpha }: Pixels,
  channels: 1 | 2 | 3 | 4,
  top: number,
  bottom: number,
): Values {
  if (channels === 3) return data.subarray(top * width * 3, bottom * width * 3);
  const size = (bottom - top) * width * channels;
  const result = data instanceof Uint8Array ? new Uint8Array(size) : new Uint16Array(size);
  const colours = channels < 3 ? 1 : 3;
  for (let i = top * width, to = 0; i < bottom * width; i++) {
    for (let c = 0; c < colours; c++) result[to++] = data[i * 3 + c]!;
    if (colours < channels) result[to++] = alpha![i]!;
  }
  return result;
}

/** Whether red, green and blue are the same everywhere. */
export function isGrey(data: Values): boolean {
  for (let i = 0; i < data.length; i += 3) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}

/** Values of 8 bits: 16 are rounded to the nearest. */
export function toBytes(data: Values): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.round(data[i]! / 257);
  return bytes;
}

/** Colours on white, rounded once, at their own depth. */
export function overWhite({ data, alpha }: Pick<Pixels, "data" | "alpha">): Values {
  if (alpha === null) return data;
  const result = data instanceof Uint8Array ? new Uint8Array(data.length) : new Uint16Array(data.length);
  const white = data instanceof Uint8Array ? 255 : 65535;
  for (let i = 0; i < result.length; i++)
    result[i] = Math.round(white + ((data[i]! - white) * alpha[Math.floor(i / 3)]!) / white);
  return result;
}

/** Values of 16 bits as those that a number of bits can tell apart, in the upper bits. */
export function roundedTo(bits: number, pixels: Pixels): Pixels {
  const most = 2 ** bits - 1;
  const round = (values: Values): Values => values.map((value) => Math.round((value / 65535) * most) << (16 - bits));
  return { ...pixels, data: round(pixels.data), alpha: pixels.alpha && round(pixels.alpha) };
}

/** A sink that keeps what is written. */
export function memorySink(): Sink & { bytes(): Uint8Array } {
  const parts: Uint8Array[] = [];
  return {
    async write(part) {
      parts.push(part);
    },
    async writeAt(part, position) {
      if (position !== 0 || part.length !== parts[0]?.length) throw new Error("internal: only the head is replaced");
      parts[0] = part;
    },
    bytes: () => joined(parts),
  };
}
