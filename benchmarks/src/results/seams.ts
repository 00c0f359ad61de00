/** What tiles do to an image, in levels of 8 bits: beside the result of the whole image, and at the borders between them. */
import type { RasterImage, Restorer } from "@deplsr/restore";

/** How tiles meet, see `RestoreOptions.blend`. */
export type Blend = "cosine" | "reference";

/** What was measured of a way to join tiles. */
export interface Seams {
  /** How far the result of tiles is from that of the whole image. */
  readonly largest: number;
  readonly mean: number;
  /**
   * Mean absolute step of the difference between neighbouring rows, and columns, at the borders of tiles, and elsewhere between two pixels of the
   * input, where borders lie too: a network that makes s x s pixels of each has steeper steps there than inside of them.
   */
  readonly border: number;
  readonly elsewhere: number;
  /** The same of the images themselves at the borders: of tiles, and of the whole image at the same places. */
  readonly tiled: number;
  readonly whole: number;
}

/** Enlarges an image as a whole and by tiles of this side, joined in both ways, as the network makes them, in 16 bits. */
export async function measureSeams(
  restorer: Restorer,
  image: RasterImage,
  tile: number,
): Promise<{ readonly blend: Blend; readonly seams: Seams }[]> {
  const { scale, window = 1 } = restorer.network;
  const how = { colour: "free", depth: 16 } as const;
  const whole = await restorer.restore(image, { ...how, tile: 2 ** 14 });
  const found: { blend: Blend; seams: Seams }[] = [];
  for (const blend of ["cosine", "reference"] as const) {
    const tiled = await restorer.restore(image, { ...how, tile, blend });
    const borders = bordersOf(image.width, { scale, blend, window, tile });
    found.push({ blend, seams: compareTiled(whole, tiled, borders, scale) });
  }
  return found;
}

/** What was measured of several images of one size, together. */
export function together(all: readonly Seams[]): Seams {
  const mean = (name: keyof Seams): number => all.reduce((sum, seams) => sum + seams[name], 0) / all.length;
  return {
    largest: Math.max(...all.map(({ largest }) => largest)),
    mean: mean("mean"),
    border: mean("border"),
    elsewhere: mean("elsewhere"),
    tiled: mean("tiled"),
    whole: mean("whole"),
  };
}

/**
 * Two results of 16 bits.
 *
 * @param borders positions along both axes where one tile hands over to the next
 * @param scale pixels of the result along a side of a pixel of the input
 */
export function compareTiled(
  whole: RasterImage,
  tiled: RasterImage,
  borders: ReadonlySet<number>,
  scale: number,
): Seams {
  const { width, height } = whole;
  const difference = Float64Array.from(whole.data, (value, i) => (tiled.data[i]! - value) / 257);
  const sums = { border: [0, 0], elsewhere: [0, 0], tiled: [0, 0], whole: [0, 0] };
  const add = (sum: number[], value: number): void => {
    sum[0]! += Math.abs(value);
    sum[1]! += 1;
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [at, step] of [
        [x, 3],
        [y, 3 * width],
      ] as const) {
        if (at === 0 || at % scale !== 0) continue;
        for (let c = 0; c < 3; c++) {
          const i = (y * width + x) * 3 + c;
          add(borders.has(at) ? sums.border : sums.elsewhere, difference[i]! - difference[i - step]!);
          if (!borders.has(at)) continue;
          add(sums.tiled, (tiled.data[i]! - tiled.data[i - step]!) / 257);
          add(sums.whole, (whole.data[i]! - whole.data[i - step]!) / 257);
        }
      }
    }
  }
  const mean = ([sum, count]: readonly number[]): number => sum! / count!;
  return {
    largest: difference.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
    mean: difference.reduce((sum, value) => sum + Math.abs(value), 0) / difference.length,
    border: mean(sums.border),
    elsewhere: mean(sums.elsewhere),
    tiled: mean(sums.tiled),
    whole: mean(sums.whole),
  };
}

/** Where tiles meet along an axis, in pixels of the result; the same for both ways when the axis is a multiple of the tile. */
function bordersOf(
  length: number,
  cut: { readonly scale: number; readonly blend: Blend; readonly window: number; readonly tile: number },
): Set<number> {
  const { scale, blend, window, tile } = cut;
  const aligned = Math.max(window, Math.floor(tile / window) * window);
  const count = blend === "cosine" ? Math.ceil(length / aligned) : Math.floor(length / tile) + 1;
  const step = blend === "cosine" ? Math.ceil(length / count / window) * window : Math.ceil(length / count);
  return new Set(Array.from({ length: count - 1 }, (_, i) => (i + 1) * step * scale));
}
