/** Colours where nothing is seen. */
import { depthOf, type RasterImage, valuesOf } from "./image.ts";

/** Averages of opaque pixels over squares, each as sums of colours and a count. */
interface Level {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/**
 * The image with the colours of its neighbourhood wherever it is wholly transparent: what a file holds there is arbitrary, often black, and would
 * be drawn into the edges of what is seen.
 */
export function withoutFringes(image: RasterImage): RasterImage {
  const { width, height, data, alpha } = image;
  if (!alpha?.includes(0)) return image;
  const levels = [halved({ width, height }, (i, c) => (alpha[i] === 0 ? 0 : c === 3 ? 1 : data[i * 3 + c]!))];
  for (let last = levels[0]!; last.width > 1 || last.height > 1; last = levels.at(-1)!) {
    levels.push(halved(last, (i, c) => last.data[i * 4 + c]!));
  }
  const filled = valuesOf(depthOf(image), data.length);
  filled.set(data);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (alpha[i] !== 0) continue;
      const level = levels.findIndex((one, k) => one.data[cellOf(one, x, y, k) + 3]! > 0);
      if (level < 0) continue;
      const at = cellOf(levels[level]!, x, y, level);
      const sums = levels[level]!.data;
      for (let c = 0; c < 3; c++) filled[i * 3 + c] = Math.round(sums[at + c]! / sums[at + 3]!);
    }
  }
  return { ...image, data: filled };
}

/** Where the sums of the square around a pixel begin. */
function cellOf({ width }: Level, x: number, y: number, level: number): number {
  return ((y >> (level + 1)) * width + (x >> (level + 1))) * 4;
}

/** Sums over squares of 2x2. @param value of a position and a channel, the fourth being the count */
function halved(size: { width: number; height: number }, value: (i: number, c: number) => number): Level {
  const [width, height] = [(size.width + 1) >> 1, (size.height + 1) >> 1];
  const data = new Float32Array(width * height * 4);
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const to = ((y >> 1) * width + (x >> 1)) * 4;
      for (let c = 0; c < 4; c++) data[to + c]! += value(y * size.width + x, c);
    }
  }
  return { width, height, data };
}
