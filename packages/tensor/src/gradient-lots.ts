import type { Lot, Storage } from "./backend.ts";
import { lotOf } from "./lots.ts";
import type { Tensor } from "./tensor.ts";

/** A lot of gradients, on its way. */
interface Twin {
  /** Bytes of the gradients that are expected. */
  bytes: number;
  lot: Lot | undefined;
  /** Pieces that nobody has taken yet. */
  readonly free: Set<number>;
}

/**
 * Gradients lie as their parameters do: those of a lot's pieces in the same pieces of another, so that what is done to all of them (a norm, a
 * factor, a step) can be done at once. They are computed there where that can be known in time, else copied, and stay alone where somebody
 * else reads them.
 */
export class GradientLots {
  readonly #twins = new Map<Lot, Twin>();
  readonly #expected = new Set<Tensor>();

  /** Tells of a leaf whose gradient comes, or has come. */
  expect(leaf: Tensor): void {
    const storage = pieceOf(leaf);
    if (!storage?.lot || this.#expected.has(leaf)) return;
    this.#expected.add(leaf);
    const twin = this.#twins.get(storage.lot) ?? { bytes: 0, lot: undefined, free: new Set() };
    twin.bytes += storage.bytes;
    this.#twins.set(storage.lot, twin);
  }

  /** Where a leaf's gradient is to be computed, if there is such a place. */
  lend(leaf: Tensor): Storage | undefined {
    const storage = pieceOf(leaf);
    const twin = storage?.lot && this.#twins.get(storage.lot);
    if (!storage?.lot || !twin) return undefined;
    const { offsets, pieces } = storage.lot;
    if (!twin.lot) {
      // Memory for a whole lot is too much for a few of its parameters.
      if (2 * twin.bytes < offsets.at(-1)!) return undefined;
      twin.lot = lotOf(leaf.device.backend, sizesOf(pieces), "backward");
      for (const piece of pieces.keys()) twin.free.add(piece);
    }
    const place = twin.lot.pieces[storage.piece]!;
    return twin.free.has(storage.piece) && place.references === 1 ? place : undefined;
  }

  /** Puts a leaf's gradient, which is complete, in its place, unless it is there already or somebody else reads it. */
  place(leaf: Tensor, gradient: Tensor): void {
    const { value } = gradient.holder;
    if (!value?.unshared) return;
    const place = this.lend(leaf);
    if (place && value.storeIn(place)) this.#twins.get(pieceOf(leaf)!.lot!)!.free.delete(place.piece);
  }

  /** Gives back the places that nobody took. */
  end(): void {
    for (const { lot, free } of this.#twins.values()) for (const piece of free) lot!.pieces[piece]!.release();
    this.#twins.clear();
  }
}

/** Where a leaf lies that fills a piece of a lot. */
function pieceOf({ holder: { value } }: Tensor): Storage | undefined {
  if (value?.dtype !== "f32" || value.state.kind !== "stored") return undefined;
  const { storage } = value.state;
  return storage.bytes === 4 * value.shape.reduce((a, b) => a * b, 1) ? storage : undefined;
}

function sizesOf(pieces: readonly Storage[]): number[] {
  return pieces.map(({ bytes }) => bytes);
}
