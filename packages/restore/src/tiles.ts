/** Enlarging an image tile by tile: only one is on the device at a time. */
import { mirrored, type RasterImage, whiteOf } from "./image.ts";
import { type Cut, type Span, sharesOf } from "./spans.ts";
import type { Strip } from "./strip.ts";

/** How an image is enlarged by tiles. */
export interface TilingPlan {
  readonly scale: number;
  readonly down: Cut;
  readonly across: Cut;
  /** A tile's planes (3, h, w) → (3, s·h, s·w). */
  readonly make: (planes: Float32Array, height: number, width: number) => Promise<Float32Array>;
  /** Asked before each tile. */
  readonly signal: AbortSignal | null;
  /** Told after each tile. */
  readonly onProgress: (done: number, total: number) => void;
  /** Shown what the network made of each tile. */
  readonly onTile: ((tile: RestoredTile) => void) | null;
}

/** What a network made of a tile, without what only its neighbours need: before colours are held, and in the network's scale. */
export interface RestoredTile {
  /** Where it lies, in pixels of the image. */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** The network's: the tile has `width * scale` by `height * scale` pixels. */
  readonly scale: number;
  /** Three values a pixel, row by row, red first. */
  readonly data: Uint8Array;
}

/**
 * The enlarged image in strips, one for each row of tiles.
 *
 * @throws the signal's reason once it is aborted; RangeError when the network makes values that are no numbers
 */
export async function* enlargedByTiles(image: RasterImage, plan: TilingPlan): AsyncGenerator<Strip> {
  const { scale, down, across, onProgress, onTile, signal } = plan;
  const [width, height] = [image.width * scale, image.height * scale];
  const total = down.spans.length * across.spans.length;
  let done = 0;
  // Rows of which the tiles below have a share too.
  let begun: Strip | null = null;
  for (const [i, rows] of down.spans.entries()) {
    const vertical = sharesOf(down, i, scale, image.height);
    const last = Math.min(vertical.first + vertical.shares.length, height);
    const strip = {
      top: vertical.first,
      rows: last - vertical.first,
      data: new Float32Array((last - vertical.first) * width * 3),
    };
    for (const [j, columns] of across.spans.entries()) {
      // A device that computes on this thread would not let a word through otherwise.
      await new Promise((resolve) => setTimeout(resolve));
      signal?.throwIfAborted();
      const [h, w] = [rows.to - rows.from, columns.to - columns.from];
      const planes = await plan.make(planesOf(image, rows, columns), h, w);
      const { first, shares } = sharesOf(across, j, scale, image.width);
      addTile(strip, width, {
        planes,
        height: h * scale,
        width: w * scale,
        top: rows.from * scale,
        left: columns.from * scale,
        first,
        shares,
        down: vertical.shares,
      });
      done += 1;
      onTile?.(coreOf(planes, rows, columns, scale, image));
      onProgress(done, total);
    }
    if (begun) addRows(strip, begun, width);
    const whole = i === down.spans.length - 1 ? last : (rows.end - down.mixing) * scale;
    yield { ...strip, rows: whole - strip.top, data: strip.data.subarray(0, (whole - strip.top) * width * 3) };
    begun = { top: whole, rows: last - whole, data: strip.data.slice((whole - strip.top) * width * 3) };
  }
}

/** Planes (1, 3, h, w) in [0, 1] of a part of an image that may reach beyond it. */
function planesOf({ data, width, height }: RasterImage, rows: Span, columns: Span): Float32Array {
  const [h, w] = [rows.to - rows.from, columns.to - columns.from];
  const planes = new Float32Array(3 * h * w);
  const white = whiteOf(data);
  for (let y = 0; y < h; y++) {
    const row = mirrored(rows.from + y, height) * width;
    for (let x = 0; x < w; x++) {
      const at = (row + mirrored(columns.from + x, width)) * 3;
      for (let c = 0; c < 3; c++) planes[(c * h + y) * w + x] = data[at + c]! / white;
    }
  }
  return planes;
}

/** The part of a tile that it is responsible for, as pixels. */
function coreOf(planes: Float32Array, rows: Span, columns: Span, scale: number, image: RasterImage): RestoredTile {
  const [top, left] = [rows.begin, columns.begin];
  const [height, width] = [Math.min(rows.end, image.height) - top, Math.min(columns.end, image.width) - left];
  const line = (columns.to - columns.from) * scale;
  const area = (rows.to - rows.from) * scale * line;
  const data = new Uint8Array(height * width * scale ** 2 * 3);
  let to = 0;
  for (let y = (top - rows.from) * scale; y < (top - rows.from + height) * scale; y++) {
    for (let x = (left - columns.from) * scale; x < (left - columns.from + width) * scale; x++) {
      for (let c = 0; c < 3; c++) {
        data[to++] = Math.round(Math.min(1, Math.max(0, planes[c * area + y * line + x]!)) * 255);
      }
    }
  }
  return { left, top, width, height, scale, data };
}

/** What the network made of a tile, where it lies, and the shares of its columns and rows, all in pixels of the output. */
interface MadeTile {
  readonly planes: ArrayLike<number>;
  readonly height: number;
  readonly width: number;
  readonly top: number;
  readonly left: number;
  /** The first column that has a share. */
  readonly first: number;
  readonly shares: Float32Array;
  readonly down: Float32Array;
}

function addTile({ top, rows, data }: Strip, width: number, tile: MadeTile): void {
  const { planes, shares, first, down } = tile;
  const columns = Math.min(shares.length, width - first);
  const area = tile.height * tile.width;
  for (let y = 0; y < rows; y++) {
    const from = (top + y - tile.top) * tile.width + first - tile.left;
    const to = (y * width + first) * 3;
    for (let x = 0; x < columns; x++) {
      const share = shares[x]! * down[y]!;
      for (let c = 0; c < 3; c++) {
        const value = planes[c * area + from + x]!;
        if (!Number.isFinite(value)) {
          throw new RangeError(
            `restore: the network makes pixel ${first + x}, ${top + y} ${value}: its weights are damaged`,
          );
        }
        data[to + x * 3 + c]! += value * share;
      }
    }
  }
}

function addRows(strip: Strip, { top, data }: Strip, width: number): void {
  const start = (top - strip.top) * width * 3;
  for (let i = 0; i < data.length; i++) strip.data[start + i]! += data[i]!;
}
