/** The pixels of a result. */
import type { RestoredStrip } from "@deplsr/restore";
import type { CropRequest } from "../client/api.ts";

/** What a result is. */
export interface ResultFormat {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly depth: 8 | 16;
}

/** Rows of a result, in memory. */
export class ResultStore {
  readonly format: ResultFormat;
  readonly #values: Uint8ClampedArray<ArrayBuffer>;

  constructor(format: ResultFormat) {
    this.format = format;
    this.#values = new Uint8ClampedArray(format.width * format.height * 4).fill(255);
  }

  write({ top, data }: RestoredStrip): void {
    let to = top * this.format.width * 4;
    for (let i = 0; i < data.length; i += 3, to += 4) {
      for (let c = 0; c < 3; c++) this.#values[to + c] = data[i + c]!;
    }
  }

  image(): ImageData {
    return new ImageData(this.#values, this.format.width, this.format.height);
  }

  async crop({ left, top, width, height, outWidth, outHeight }: CropRequest): Promise<ImageBitmap> {
    return createImageBitmap(this.image(), left, top, width, height, {
      resizeWidth: outWidth,
      resizeHeight: outHeight,
    });
  }
}
