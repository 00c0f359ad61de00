/** What networks do to colours: how far the means of a ColorChecker's patches move, in levels of 8 bits. */
import type { RasterImage, Restorer } from "@deplsr/restore";

/** The patches of a ColorChecker, in sRGB. */
export const PATCHES = [
  [115, 82, 68],
  [194, 150, 130],
  [98, 122, 157],
  [87, 108, 67],
  [133, 128, 177],
  [103, 189, 170],
  [214, 126, 44],
  [80, 91, 166],
  [193, 90, 99],
  [94, 60, 108],
  [157, 188, 64],
  [224, 163, 46],
  [56, 61, 150],
  [70, 148, 73],
  [175, 54, 60],
  [231, 199, 31],
  [187, 86, 149],
  [8, 133, 161],
  [243, 243, 242],
  [200, 200, 200],
  [160, 160, 160],
  [122, 122, 121],
  [85, 85, 85],
  [52, 52, 52],
] as const;
/** Pixels of a patch's side: none but the first begins with one of the cells over which colours are held. */
export const PATCH = 60;
const [ACROSS, DOWN] = [6, 4];

/** How far the means of the patches are from what they were: the farthest channel, and on average. */
export interface Shifts {
  readonly largest: number;
  readonly mean: number;
}

/** The chart: six patches beside each other, four rows. */
export function colourChart(): RasterImage & { readonly data: Uint8Array } {
  const width = ACROSS * PATCH;
  const data = Uint8Array.from({ length: width * DOWN * PATCH * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return PATCHES[Math.floor(y / PATCH) * ACROSS + Math.floor(x / PATCH)]![i % 3]!;
  });
  return { width, height: DOWN * PATCH, data };
}

/** The shifts in an enlarged chart of either depth. */
export function chartShifts({ data, width }: RasterImage, scale: number): Shifts {
  const white = data instanceof Uint8Array ? 1 : 257;
  const sums = new Float64Array(PATCHES.length * 3);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const patch = Math.floor(y / scale / PATCH) * ACROSS + Math.floor(x / scale / PATCH);
    sums[patch * 3 + (i % 3)]! += data[i]! / white;
  }
  const off = [...sums].map((sum, i) => Math.abs(sum / (PATCH * scale) ** 2 - PATCHES[Math.floor(i / 3)]![i % 3]!));
  return { largest: Math.max(...off), mean: off.reduce((sum, value) => sum + value, 0) / off.length };
}

/** Enlarges the chart with colours held, and as the network makes them. */
export async function measureShifts(
  restorer: Restorer,
): Promise<{ readonly colour: "keep" | "free"; readonly shifts: Shifts }[]> {
  const found: { colour: "keep" | "free"; shifts: Shifts }[] = [];
  for (const colour of ["keep", "free"] as const) {
    const enlarged = await restorer.restore(colourChart(), { colour, depth: 16 });
    found.push({ colour, shifts: chartShifts(enlarged, restorer.network.scale) });
  }
  return found;
}
