/** A tile that there is no memory for, in parts. */
import { blendedCut, type Span, sharesOf } from "./spans.ts";

/** Planes (3, h, w). */
export interface TilePlanes {
  readonly planes: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** How a tile may be cut. */
export interface PartsOptions {
  /** The network's. */
  readonly scale: number;
  /** The network's. */
  readonly window: number;
  /** Pixels to either side of a border that both parts see. */
  readonly overlap: number;
}

/**
 * Makes a tile, or, where there is no room for that, each of its halves, and so on; these are mixed as tiles are.
 *
 * @param make (3, h, w) → (3, s·h, s·w); null, or the error, where there is no room
 * @throws the error for a part that cannot be cut any more
 */
export async function inParts(
  tile: TilePlanes,
  options: PartsOptions,
  make: (tile: TilePlanes) => Promise<Float32Array | Error | null>,
): Promise<Float32Array> {
  const made = await make(tile);
  if (made instanceof Float32Array) return made;
  const { height, width } = tile;
  const { scale, window, overlap } = options;
  const down = height >= width;
  const length = down ? height : width;
  const cut = blendedCut(length, Math.ceil(length / 2), overlap, window);
  if (cut.spans.some(({ from, to }) => to - from >= length)) {
    throw made ?? new Error(`internal: there was room for ${height}x${width} pixels before`);
  }
  const result = new Float32Array(3 * height * width * scale ** 2);
  for (const [i, span] of cut.spans.entries()) {
    const part = partOf(tile, span, down);
    const planes = await inParts(part, options, make);
    const { first, shares } = sharesOf(cut, i, scale, length);
    const start = span.from * scale;
    const [rows, columns] = [part.height * scale, part.width * scale];
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          const share = shares[(down ? y : x) + start - first];
          if (share === undefined) continue;
          const to = down ? (c * height * scale + y + start) * columns + x : (c * rows + y) * width * scale + x + start;
          result[to]! += planes[(c * rows + y) * columns + x]! * share;
        }
      }
    }
  }
  return result;
}

function partOf({ planes, height, width }: TilePlanes, { from, to }: Span, down: boolean): TilePlanes {
  const [top, left] = down ? [from, 0] : [0, from];
  const part = { height: down ? to - from : height, width: down ? width : to - from };
  const copy = new Float32Array(3 * part.height * part.width);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < part.height; y++) {
      const start = (c * height + top + y) * width + left;
      copy.set(planes.subarray(start, start + part.width), (c * part.height + y) * part.width);
    }
  }
  return { ...part, planes: copy };
}
