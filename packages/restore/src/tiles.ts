/** Enlarging an image tile by tile: only one is on the device at a time. */
import { noGrad, scope, type Tensor } from "@deplsr/tensor";
import { mirrored, type RasterImage, whiteOf } from "./image.ts";
import { type Cut, type Span, sharesOf } from "./spans.ts";
import type { Strip } from "./strip.ts";

/** How an image is enlarged by tiles. */
export interface TilingPlan {
  readonly scale: number;
  readonly down: Cut;
  readonly across: Cut;
  /** A tile (1, 3, h, w) → (1, 3, s·h, s·w). */
  readonly forward: (tile: Tensor) => Tensor;
  /** Asked before each tile. */
  readonly signal: AbortSignal | null;
  /** Told after each tile. */
  readonly onTile: (done: number, total: number) => void;
}

/**
 * The enlarged image in strips, one for each row of tiles.
 *
 * @throws the signal's reason once it is aborted; RangeError when the network makes values that are no numbers
 */
export async function* enlargedByTiles(
  device: Tensor["device"],
  image: RasterImage,
  plan: TilingPlan,
): AsyncGenerator<Strip> {
  const { scale, down, across, onTile, signal } = plan;
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
      signal?.throwIfAborted();
      const [h, w] = [rows.to - rows.from, columns.to - columns.from];
      using made = scope(() => noGrad(() => plan.forward(device.tensor(planesOf(image, rows, columns), [1, 3, h, w]))));
      const { first, shares } = sharesOf(across, j, scale, image.width);
      addTile(strip, width, {
        planes: await made.data(),
        height: h * scale,
        width: w * scale,
        top: rows.from * scale,
        left: columns.from * scale,
        first,
        shares,
        down: vertical.shares,
      });
      done += 1;
      onTile(done, total);
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
