/** The pixels of a result: in memory while they are few, else in a file of the browser's own that nobody sees. */
import { interleave, type Pixels, parseProfile, type RowFormat, toBytes, toSrgb } from "@deplsr/photo";
import type { RestoredStrip } from "@deplsr/restore";
import type { CropRequest } from "../client/api.ts";
import { type Bytes, onDisk } from "./disk.ts";

/** What a result is: rows as a file has them, and what its values mean. */
export interface StoredFormat extends RowFormat {
  /** The ICC profile of the values; null for sRGB. */
  readonly profile: Uint8Array | null;
}

/** Results of more bytes go to disk. */
export const MOST_IN_MEMORY = 2 ** 28;

/** Rows of a result. */
export class ResultStore {
  readonly format: StoredFormat;
  readonly #bytes: Bytes;

  private constructor(format: StoredFormat, bytes: Bytes) {
    this.format = format;
    this.#bytes = bytes;
  }

  /** Makes room. @throws Error with one line where there is none */
  static async open(format: StoredFormat, mostInMemory = MOST_IN_MEMORY): Promise<ResultStore> {
    const bytes = rowBytes(format) * format.height;
    if (bytes <= mostInMemory) return new ResultStore(format, inMemory(bytes));
    return new ResultStore(format, (await onDisk(bytes)) ?? inMemory(bytes));
  }

  /** Takes rows as they are made. */
  write({ top, rows, data, alpha }: RestoredStrip): void {
    const { width, channels, depth } = this.format;
    const pixels: Pixels = { width, height: rows, depth, data, alpha, profile: null };
    const values = interleave(pixels, channels, 0, rows);
    this.#bytes.write(top * rowBytes(this.format), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  /** Rows as a file has them. */
  rows(top: number, bottom: number): Uint8Array | Uint16Array {
    const bytes = new Uint8Array((bottom - top) * rowBytes(this.format));
    this.#bytes.read(top * rowBytes(this.format), bytes);
    return this.format.depth === 8 ? bytes : new Uint16Array(bytes.buffer);
  }

  /** A part of it for the screen: of several pixels that fall into one, the mean. */
  async crop({ left, top, width, height, outWidth, outHeight }: CropRequest): Promise<ImageBitmap> {
    const step = Math.max(1, Math.floor(Math.min(width / outWidth, height / outHeight)));
    const [columns, rows] = [Math.ceil(width / step), Math.ceil(height / step)];
    const { channels } = this.format;
    const colours = new Uint8Array(columns * rows * 3);
    const image = new ImageData(columns, rows);
    for (let y = 0; y < rows; y++) {
      const bottom = Math.min(top + height, top + (y + 1) * step);
      const values = toBytes(this.rows(top + y * step, bottom));
      for (let x = 0; x < columns; x++) {
        const right = Math.min(left + width, left + (x + 1) * step);
        const mean = (channel: number): number => {
          let sum = 0;
          for (let row = 0; row < bottom - top - y * step; row++) {
            for (let i = left + x * step; i < right; i++)
              sum += values[(row * this.format.width + i) * channels + channel]!;
          }
          return Math.round(sum / ((bottom - top - y * step) * (right - left - x * step)));
        };
        const at = y * columns + x;
        for (let c = 0; c < 3; c++) colours[at * 3 + c] = mean(channels < 3 ? 0 : c);
        image.data[at * 4 + 3] = channels % 2 === 0 ? mean(channels - 1) : 255;
      }
    }
    const profile = this.format.profile && parseProfile(this.format.profile);
    if (profile) await toSrgb(colours, profile);
    for (let i = 0; i < columns * rows; i++) image.data.set(colours.subarray(i * 3, i * 3 + 3), i * 4);
    return createImageBitmap(image, { resizeWidth: outWidth, resizeHeight: outHeight, resizeQuality: "high" });
  }

  /** Gives the room back. */
  close(): Promise<void> {
    return this.#bytes.close();
  }
}

function rowBytes({ width, channels, depth }: RowFormat): number {
  return width * channels * (depth / 8);
}

function inMemory(length: number): Bytes {
  let bytes = new Uint8Array(length);
  return {
    read: (at, into) => into.set(bytes.subarray(at, at + into.length)),
    write: (at, from) => bytes.set(from, at),
    async close() {
      bytes = new Uint8Array(0);
    },
  };
}
