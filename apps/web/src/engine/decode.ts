/** The bytes of photo files to pixels that stand upright. */
import type { RasterImage } from "@deplsr/restore";

/** A photo in memory. */
export interface DecodedPhoto extends RasterImage {
  readonly alpha: Uint8Array | Uint16Array | null;
  readonly depth: 8 | 16;
  readonly format: string;
  readonly notes: readonly string[];
}

/** Rows that are taken from a canvas at a time. */
const BAND_PIXELS = 2 ** 20;

export async function decodePhoto(file: Blob, name: string, signal: AbortSignal): Promise<DecodedPhoto> {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
    throw new Error(`${name} is truncated or damaged: get the file again`);
  });
  signal.throwIfAborted();
  const { width, height } = bitmap;
  const data = new Uint8Array(width * height * 3);
  const rows = Math.max(1, Math.floor(BAND_PIXELS / width));
  const canvas = new OffscreenCanvas(width, rows);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const { data: band } = context.getImageData(0, 0, width, count);
    for (let i = 0, to = top * width * 3; i < count * width * 4; i += 4) {
      data[to++] = band[i]!;
      data[to++] = band[i + 1]!;
      data[to++] = band[i + 2]!;
    }
  }
  bitmap.close();
  return { width, height, depth: 8, data, alpha: null, format: file.type.replace("image/", ""), notes: [] };
}
