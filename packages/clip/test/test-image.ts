import type { PixelImage } from "../src/index.ts";

/** The synthetic image A of the specification's checks: smooth waves in three channels, rounded half to even. */
export function waves(width: number, height: number): PixelImage {
  const data = new Uint8ClampedArray(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const broad = 90 * Math.sin(0.3 * x + 0.2 * y + c) * Math.cos(0.15 * x - 0.25 * y);
        data[i++] = 127.5 + broad + 20 * Math.sin(0.333 * x + 0.697 * y + c); // the array clamps and rounds half to even
      }
    }
  }
  return { width, height, channels: 3, data };
}

/** An image from rows of grey values. */
export function grey(rows: readonly (readonly number[])[]): PixelImage {
  return { width: rows[0]!.length, height: rows.length, channels: 1, data: Uint8Array.from(rows.flat()) };
}

/** The grey values of an image, row by row; of RGB the red ones. */
export function rowsOf({ width, height, channels, data }: PixelImage): number[][] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => data[(y * width + x) * channels]!),
  );
}
