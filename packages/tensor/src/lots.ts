/**
 * Many small things at once: what lies side by side in lots, each in a storage of its own, is read and written as one by what treats all
 * elements alike. Who holds a piece is told by the piece, so that nothing changes for values.
 */
import type { Backend, Lot, Storage, View } from "./backend.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import * as E from "./expr/expr.ts";
import { denseLayout } from "./layout.ts";
import { numel } from "./shape.ts";

/** Bytes of a lot: all of a small network, and few launches for a large one. It is taken and given back as a whole. */
const LOT_BYTES = 256 * 2 ** 20;

/** Cuts things of these bytes into lots, in order: the first of each, and the end. */
export function cutIntoLots({ info }: Backend, sizes: readonly number[]): number[] {
  const most = Math.min(LOT_BYTES, info.maxTensorBytes);
  // A gap behind each is counted with it.
  const starts: number[] = [];
  let room = 0;
  sizes.forEach((bytes, i) => {
    const taken = Math.ceil(bytes / 256) * 256;
    if (i === 0 || taken > room) {
      starts.push(i);
      room = most;
    }
    room -= taken;
  });
  return [...starts, sizes.length];
}

/** A lot whose gaps are zeros, or all of it: sums over it are those of its pieces. */
export function lotOf(backend: Backend, sizes: readonly number[], label: string, zeros = false): Lot {
  const lot = backend.allocateLot(sizes, label);
  const zeroed = sizes.map((bytes, i) => zeros || lot.offsets[i]! + bytes !== lot.offsets[i + 1]!);
  const first = zeroed.indexOf(true);
  if (first >= 0) {
    try {
      const out = whole(lot.join(first, zeroed.lastIndexOf(true)), "f32");
      backend.pointwise({ out, tree: E.constant(0), leaves: [], params: [] });
    } catch (error) {
      for (const piece of lot.pieces) piece.release();
      throw error;
    }
  }
  return lot;
}

function whole(storage: Storage, dtype: DType): View {
  return { storage, layout: denseLayout([storage.bytes / bytesPerElement(dtype)]), dtype };
}

/** True where one fills the piece behind that which the other fills. Both are dense. */
export function follows(view: View, before: View): boolean {
  const { lot, piece } = view.storage;
  return (
    lot !== undefined &&
    lot === before.storage.lot &&
    piece === before.storage.piece + 1 &&
    fills(view) &&
    fills(before)
  );
}

function fills({ storage, layout, dtype }: View): boolean {
  return layout.offset === 0 && numel(layout.shape) * bytesPerElement(dtype) === storage.bytes;
}

/** Views of which each follows the one before it, as one. @param holds for longer than launches that are recorded now: the caller gives it back */
export function joined(views: readonly View[], holds = false): View {
  const [first, last] = [views[0]!, views.at(-1)!];
  if (first === last) return first;
  return whole(first.storage.lot!.join(first.storage.piece, last.storage.piece, holds), first.dtype);
}

/** Cuts `count` things into runs: `joins(i)` tells whether the i-th goes on with the one before it. */
export function runsOf(count: number, joins: (i: number) => boolean): (readonly [start: number, end: number])[] {
  const starts = Array.from({ length: count }, (_, i) => i).filter((i) => i === 0 || !joins(i));
  return starts.map((start, run) => [start, starts[run + 1] ?? count] as const);
}
