/** From the items of a data set to batches, in an order that follows from the seed and the step alone, so that a run can go on where it stopped. */
import { Rng } from "@deplsr/tensor";
import { oneLine, UserError } from "../errors.ts";
import { counted } from "../output.ts";
import type { SkippedItem } from "./skipped.ts";

/** What a loader needs. */
export interface LoaderOptions<Item> {
  /** The items' names, for messages; what has one name is left out together. */
  readonly names: readonly string[];
  readonly batchSize: number;
  /** Which batch of the data set is that of a turn, from 1, where others are taken elsewhere; default that of its number. */
  readonly batchOf?: (turn: number) => number;
  readonly seed: number;
  /** Whether every epoch has another order; false keeps the order of the list. Default true. */
  readonly shuffle?: boolean;
  readonly load: (index: number) => Promise<Item>;
  /** Is told once about each item that cannot be loaded. */
  readonly onSkip: (skipped: SkippedItem) => void;
}

/** An item of a batch with its place in the data set. */
export interface Loaded<Item> {
  readonly index: number;
  readonly item: Item;
}

/**
 * Gives the batch of every step. An item that cannot be loaded is reported once and replaced by the next one that can, so that
 * a damaged file never ends a long run; only a data set without any good item does.
 */
export class Loader<Item> {
  readonly #options: LoaderOptions<Item>;
  readonly #skipped = new Map<string, SkippedItem>();
  #ahead: { turn: number; batch: Promise<Loaded<Item>[]> } | undefined;
  #order: { epoch: number; indices: readonly number[] } | undefined;

  constructor(options: LoaderOptions<Item>) {
    if (options.names.length === 0) throw new UserError("data: the data set is empty: add rows or images");
    this.#options = options;
  }

  /** Items that could not be loaded so far. */
  get skipped(): readonly SkippedItem[] {
    return [...this.#skipped.values()];
  }

  /** Batches in which every item comes once, a last incomplete one left out; a data set smaller than a batch is repeated. */
  get batchesPerEpoch(): number {
    return Math.max(1, Math.floor(this.#options.names.length / this.#options.batchSize));
  }

  /** The batch of a turn (from 1); the next turn's is loaded meanwhile. @throws UserError when no item at all can be loaded */
  async batch(turn: number): Promise<Loaded<Item>[]> {
    const ready = this.#ahead?.turn === turn ? this.#ahead.batch : this.#load(turn);
    const batch = await ready;
    const next = this.#load(turn + 1);
    next.catch(() => undefined);
    this.#ahead = { turn: turn + 1, batch: next };
    return batch;
  }

  /** The items of a turn's batch, before any is loaded. */
  indices(turn: number): number[] {
    const { names, batchSize, batchOf = (turn) => turn } = this.#options;
    const number = batchOf(turn) - 1;
    const epoch = Math.floor(number / this.batchesPerEpoch);
    const first = (number % this.batchesPerEpoch) * batchSize;
    const order = this.#epochOrder(epoch);
    return Array.from({ length: batchSize }, (_, i) => order[(first + i) % names.length]!);
  }

  #epochOrder(epoch: number): readonly number[] {
    if (this.#order?.epoch !== epoch) {
      const { names, seed, shuffle = true } = this.#options;
      const plain = names.map((_, i) => i);
      const indices = shuffle ? shuffled(plain, new Rng(seed).fork(`order of epoch ${epoch}`)) : plain;
      this.#order = { epoch, indices };
    }
    return this.#order.indices;
  }

  async #load(turn: number): Promise<Loaded<Item>[]> {
    return Promise.all(this.indices(turn).map((index) => this.#loadOne(index)));
  }

  async #loadOne(wanted: number): Promise<Loaded<Item>> {
    const { names, load, onSkip } = this.#options;
    for (let i = 0; i < names.length; i++) {
      const index = (wanted + i) % names.length;
      const name = names[index]!;
      if (this.#skipped.has(name)) continue;
      try {
        return { index, item: await load(index) };
      } catch (error) {
        if (this.#skipped.has(name)) continue;
        const skipped = { name, reason: oneLine(error) };
        this.#skipped.set(name, skipped);
        onSkip(skipped);
      }
    }
    const first = this.skipped[0];
    throw new UserError(
      `data: none of ${counted(names.length, "item")} can be loaded; the first one: ${first?.reason ?? "?"}`,
    );
  }
}

/** The same values in an order drawn from `rng` (Fisher and Yates). */
export function shuffled<T>(values: readonly T[], rng: Rng): T[] {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i--) {
    const j = rng.integer(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
