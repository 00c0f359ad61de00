/** How an axis of an image is cut into tiles. */
import { referenceSpans } from "@deplsr/dat";

/** A tile along one axis, in pixels of the input. */
export interface Span {
  /** What it is responsible for; spans follow each other without gaps. */
  readonly begin: number;
  readonly end: number;
  /** What the network gets to see; beyond the image it is mirrored. */
  readonly from: number;
  readonly to: number;
}

/** The tiles along an axis. */
export interface Cut {
  readonly spans: readonly Span[];
  /** To this distance from a border between two tiles their results are mixed; 0: each ends where the next begins. */
  readonly mixing: number;
}

/**
 * Tiles that are mixed where they overlap, in the inner half of it, as a network knows least at a tile's own edge. They begin at whole windows of the network, so that a tile's windows are those of the whole image,
 * and end with the image, so that its last rows see what they see without tiles.
 *
 * @param tile the most that one is responsible for
 * @param overlap pixels to either side of a border that both tiles see
 * @param window side of the network's windows
 */
export function blendedCut(length: number, tile: number, overlap: number, window: number): Cut {
  const most = Math.max(window, Math.floor(tile / window) * window);
  const side = Math.ceil(length / Math.ceil(length / most) / window) * window;
  // Where tiles are small, no more than two may meet.
  const seen = Math.min(overlap, side);
  const margin = Math.ceil(seen / window) * window;
  const spans = Array.from({ length: Math.ceil(length / side) }, (_, i) => ({
    begin: i * side,
    end: Math.min(length, (i + 1) * side),
    from: Math.max(0, i * side - margin),
    to: Math.min(length, (i + 1) * side + seen),
  }));
  return { spans, mixing: spans.length > 1 ? Math.floor(seen / 2) : 0 };
}

/** The cuts of the reference's `use_chop`: equal tiles of an image that is mirrored to a multiple of them, each cut where the next begins. */
export function referenceCut(length: number, tile: number, overlap: number): Cut {
  return { spans: referenceSpans(length, tile, overlap).spans, mixing: 0 };
}

/** How much of an axis most tiles see. */
export function mostlySeen({ spans }: Cut): number {
  const counts = new Map<number, number>();
  for (const { from, to } of spans) counts.set(to - from, (counts.get(to - from) ?? 0) + 1);
  return [...counts].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}

/**
 * The share that a tile has of each of the pixels of the output that it reaches: 1, but where it is mixed with a neighbour a raised cosine,
 * whose sum with the neighbour's is 1.
 *
 * @returns the first of these pixels, and the shares
 */
export function sharesOf({ spans, mixing }: Cut, index: number, scale: number, length: number): Shares {
  const { begin, end } = spans[index]!;
  const first = index === 0 ? 0 : (begin - mixing) * scale;
  const last = index === spans.length - 1 ? end * scale : Math.min(length, end + mixing) * scale;
  const rise = (at: number, border: number): number => {
    const t = ((at + 0.5) / scale - border) / mixing;
    return t <= -1 ? 0 : t >= 1 ? 1 : 0.5 + 0.5 * Math.sin((Math.PI / 2) * t);
  };
  const shares = Float32Array.from({ length: last - first }, (_, i) => {
    if (mixing === 0) return 1;
    const before = index === 0 ? 1 : rise(first + i, begin);
    const after = index === spans.length - 1 ? 0 : rise(first + i, end);
    return before * (1 - after);
  });
  return { first, shares };
}

/** See `sharesOf`. */
export interface Shares {
  readonly first: number;
  readonly shares: Float32Array;
}
