/** Seams as they are seen: a straight line along which a result of tiles leaves that of the whole image. */
import type { Image } from "../../../apps/cli/src/data/image.ts";

/** In levels of 8 bits. */
export interface SeamLines {
  /** The mean absolute step of the difference across the worst line between two rows, or columns. */
  readonly worst: number;
  /** The same of the line in the middle, as most are. */
  readonly usual: number;
}

/** Looks along all rows and columns at which a pixel of the photo begins: it need not be known where tiles meet. */
export function seamLines(whole: Image, tiled: Image, scale: number): SeamLines {
  const { width, height } = whole;
  if (tiled.width !== width || tiled.height !== height)
    throw new Error(`results of ${width}x${height} and of ${tiled.width}x${tiled.height} cannot be compared`);
  const difference = Float32Array.from(whole.data, (value, i) => tiled.data[i]! - value);
  const stepAcross = (along: number, at: (i: number) => number, back: number): number => {
    let sum = 0;
    for (let i = 0; i < along; i++) {
      for (let c = 0; c < 3; c++) sum += Math.abs(difference[at(i) * 3 + c]! - difference[(at(i) - back) * 3 + c]!);
    }
    return sum / (along * 3);
  };
  const lines: number[] = [];
  for (let x = scale; x < width; x += scale) lines.push(stepAcross(height, (y) => y * width + x, 1));
  for (let y = scale; y < height; y += scale) lines.push(stepAcross(width, (x) => y * width + x, width));
  lines.sort((a, b) => a - b);
  return { worst: lines.at(-1)!, usual: lines[lines.length >> 1]! };
}
