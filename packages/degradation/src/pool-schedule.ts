import type { Rng } from "@deplsr/tensor";
import { differentPlaces } from "./chance.ts";

/** What a pool gives at a step. */
export interface PoolBatch {
  /** Which pairs: 0 for the first one of step 1, then on, `batch` of them a step. */
  readonly numbers: readonly number[];
  /** Whether they leave the pool; while it is filling they stay. */
  readonly leave: boolean;
}

/**
 * Which pairs a `TrainingPairPool` gives at each step, as numbers alone. They follow from the generator and the step, so a training that can
 * make any pair again by its number needs no stored pool to go on.
 */
export class PoolSchedule {
  readonly size: number;
  readonly batch: number;
  readonly #rng: Rng;
  #chance: Rng;
  #pool: number[] = [];
  #step = 0;

  /**
   * @param size pairs that the pool holds: `queueSize` of the options
   * @param batch pairs that come and go at a step
   * @throws RangeError unless the size is a multiple of the batch
   */
  constructor(size: number, batch: number, rng: Rng) {
    if (!Number.isInteger(batch) || batch < 1 || !Number.isInteger(size / batch) || size < 1) {
      throw new RangeError(`PoolSchedule: size ${size} must be a multiple of the batch ${batch}`);
    }
    this.size = size;
    this.batch = batch;
    this.#rng = rng;
    this.#chance = rng.fork("pool");
  }

  /** The batch of a step, from 1. Steps in order cost next to nothing; for another one those before it are gone through. */
  at(step: number): PoolBatch {
    if (step <= this.#step) {
      this.#chance = this.#rng.fork("pool");
      this.#pool = [];
      this.#step = 0;
    }
    while (this.#step < step - 1) this.#next();
    return this.#next();
  }

  /** Whether the pool holds a pair after the step that was asked for last. */
  holds(number: number): boolean {
    return this.#pool.includes(number);
  }

  #next(): PoolBatch {
    const { size, batch } = this;
    const incoming = Array.from({ length: batch }, (_, i) => this.#step * batch + i);
    this.#step += 1;
    if (this.#pool.length < size) {
      this.#pool.push(...incoming);
      return { numbers: incoming, leave: false };
    }
    const places = differentPlaces(this.#chance, batch, size);
    const numbers = places.map((place) => this.#pool[place]!);
    for (const [i, place] of places.entries()) this.#pool[place] = incoming[i]!;
    return { numbers, leave: true };
  }
}
