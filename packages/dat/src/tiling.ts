import { cat, flip, noGrad, scope, slice, type Tensor } from "@deplsr/tensor";
import type { Size } from "./window.ts";

/** How an image is cut for inference. Defaults: tiles of at most 200 pixels a side, 16 pixels of their surroundings on each side. */
export interface TileOptions {
  /** By how much `forward` enlarges. */
  readonly scale: number;
  readonly tile?: number;
  readonly overlap?: number;
}

/** Part of an image: rows `top` up to but without `bottom`, columns `left` up to but without `right`. */
export interface Region {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** One tile; `input` in pixels of the padded input, the others in pixels of the output. */
export interface Tile {
  /** What `forward` gets: the tile and its surroundings. */
  readonly input: Region;
  /** The part of what `forward` gives that is used. */
  readonly used: Region;
  /** Where that part goes. */
  readonly output: Region;
}

/** How an image is cut: the size to which it is mirrored below and to the right, and the rows of tiles. */
export interface TilePlan {
  readonly padded: Size;
  readonly rows: readonly (readonly Tile[])[];
}

/** A tile along one axis, in pixels of the input. */
export interface TileSpan {
  /** What `forward` gets. */
  readonly from: number;
  readonly to: number;
  /** The part of it that is used. */
  readonly begin: number;
  readonly end: number;
}

/** The tiles along an axis of `length`, which is mirrored to `padded` so that they are equal. @see the reference's `use_chop` */
export function referenceSpans(
  length: number,
  tile: number,
  overlap: number,
): { readonly padded: number; readonly spans: readonly TileSpan[] } {
  const count = Math.floor(length / tile) + 1;
  const side = Math.ceil(length / count);
  const padded = side * count;
  const spans = Array.from({ length: count }, (_, i) => ({
    from: Math.max(0, i * side - overlap),
    to: Math.min(padded, (i + 1) * side + overlap),
    begin: i * side,
    end: (i + 1) * side,
  }));
  return { padded, spans };
}

/**
 * Cuts an image of `size` into ⌊h/tile⌋+1 by ⌊w/tile⌋+1 equal tiles.
 * @throws RangeError when `tile` is below 1 or `overlap` below 0
 */
export function planTiles([height, width]: Size, { scale, tile = 200, overlap = 16 }: TileOptions): TilePlan {
  if (!(Number.isInteger(tile) && tile >= 1))
    throw new RangeError(`planTiles: tile ${tile} must be a whole number above 0`);
  if (!(Number.isInteger(overlap) && overlap >= 0)) {
    throw new RangeError(`planTiles: overlap ${overlap} must be a whole number, 0 or above`);
  }
  const down = referenceSpans(height, tile, overlap);
  const across = referenceSpans(width, tile, overlap);
  const rows = down.spans.map((y) =>
    across.spans.map((x) => ({
      input: { top: y.from, bottom: y.to, left: x.from, right: x.to },
      used: scaled(
        { top: y.begin - y.from, bottom: y.end - y.from, left: x.begin - x.from, right: x.end - x.from },
        scale,
      ),
      output: scaled({ top: y.begin, bottom: y.end, left: x.begin, right: x.end }, scale),
    })),
  );
  return { padded: [down.padded, across.padded], rows };
}

function scaled({ top, bottom, left, right }: Region, scale: number): Region {
  return { top: top * scale, bottom: bottom * scale, left: left * scale, right: right * scale };
}

function crop(x: Tensor, { top, bottom, left, right }: Region): Tensor {
  return slice(x, [null, null, [top, bottom], [left, right]]);
}

/** Mirrors the last rows and columns outwards, the edge itself included, up to `padded`. */
function mirrorTo(x: Tensor, padded: Size): Tensor {
  let result = x;
  for (const [axis, length] of [
    [2, padded[0]],
    [3, padded[1]],
  ] as const) {
    const missing = length - result.shape[axis]!;
    if (missing === 0) continue;
    const edge = slice(
      flip(result, [axis]),
      axis === 2 ? [null, null, [0, missing]] : [null, null, null, [0, missing]],
    );
    result = cat([result, edge], axis);
  }
  return result;
}

/**
 * Runs `forward` on overlapping tiles of `x (b, c, h, w)` and joins the results, `(b, c', s·h, s·w)`. An image of one tile
 * is run whole. No gradients. For images whose result does not fit on the device there is `upscaleTilesToHost`.
 * @see the reference's `use_chop`
 */
export function upscaleTiles(x: Tensor, forward: (tile: Tensor) => Tensor, options: TileOptions): Tensor {
  const [, , h, w] = x.shape as [number, number, number, number];
  const { padded, rows } = planTiles([h, w], options);
  return noGrad(() =>
    scope(() => {
      const whole = mirrorTo(x, padded);
      const strips = rows.map((row) =>
        scope(() =>
          joined(
            row.map((tile) => scope(() => crop(forward(crop(whole, tile.input)), tile.used))),
            3,
          ),
        ),
      );
      const result = joined(strips, 2);
      return crop(result, { top: 0, bottom: h * options.scale, left: 0, right: w * options.scale });
    }),
  );
}

function joined(parts: readonly Tensor[], dim: number): Tensor {
  return parts.length === 1 ? parts[0]! : cat(parts, dim);
}

/** Values on the host, row-major. */
export interface HostImages {
  readonly shape: readonly [number, number, number, number];
  readonly data: Float32Array;
}

/**
 * As `upscaleTiles`, one tile on the device at a time; the result is put together on the host.
 * @param onTile told after each tile, for a progress bar; what it throws ends the work
 */
export async function upscaleTilesToHost(
  x: Tensor,
  forward: (tile: Tensor) => Tensor,
  options: TileOptions,
  onTile: (done: number, total: number) => void = () => {},
): Promise<HostImages> {
  const [, , h, w] = x.shape as [number, number, number, number];
  const { padded, rows } = planTiles([h, w], options);
  const [outHeight, outWidth] = [h * options.scale, w * options.scale];
  const tiles = rows.flat();
  const whole = noGrad(() => scope(() => mirrorTo(x, padded)));
  let images: HostImages | undefined;
  try {
    for (const [i, tile] of tiles.entries()) {
      using part = noGrad(() => scope(() => crop(forward(crop(whole, tile.input)), tile.used)));
      const [b, c] = part.shape as [number, number];
      images ??= { shape: [b, c, outHeight, outWidth], data: new Float32Array(b * c * outHeight * outWidth) };
      place(images, await part.data(), tile.output);
      onTile(i + 1, tiles.length);
    }
  } finally {
    if (whole !== x) whole.dispose();
  }
  if (!images) throw new Error("internal: an image was cut into no tiles");
  return images;
}

/** Copies a tile's values, row by row, as far as they lie inside the image. */
function place({ shape, data }: HostImages, tile: ArrayLike<number>, { top, bottom, left, right }: Region): void {
  const [b, c, height, width] = shape;
  const [rows, columns] = [bottom - top, right - left];
  const inside = Math.min(right, width) - left;
  for (let plane = 0; plane < b * c; plane++) {
    for (let row = 0; row < Math.min(rows, height - top); row++) {
      const from = (plane * rows + row) * columns;
      const to = (plane * height + top + row) * width + left;
      for (let i = 0; i < inside; i++) data[to + i] = tile[from + i]!;
    }
  }
}
