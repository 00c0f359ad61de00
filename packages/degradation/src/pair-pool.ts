import {
  cat,
  clone,
  type Device,
  keep,
  narrow,
  noGrad,
  Rng,
  type RngState,
  type Shape,
  ShapeError,
  scope,
  type Tensor,
} from "@deplsr/tensor";
import { differentPlaces } from "./chance.ts";
import type { TrainingPair } from "./second-order.ts";

/** Images on the host. */
export interface HostImages {
  /** (n, 3, h, w) */
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Everything that a pool is, for a checkpoint. */
export interface TrainingPairPoolState {
  readonly size: number;
  readonly rng: RngState;
  /** The pairs that it holds; null for none. */
  readonly pairs: { readonly lq: HostImages; readonly gt: HostImages } | null;
}

/**
 * Mixes training pairs across batches: the images of one batch of `drawSecondOrder` share their changes of size, those of a batch out of the
 * pool need not. The pool keeps its pairs on the device, in storage of its own, until it is disposed.
 *
 * @see BasicSR `RealESRGANModel._dequeue_and_enqueue`
 */
export class TrainingPairPool {
  readonly size: number;
  readonly #rng: Rng;
  readonly #pairs: TrainingPair[] = [];

  /**
   * @param size pairs that it holds: `queueSize` of the options
   * @param rng decides which pairs leave; the pool's own from then on
   * @throws RangeError unless the size is a whole number above 0
   */
  constructor(size: number, rng: Rng) {
    if (!Number.isInteger(size) || size < 1)
      throw new RangeError(`TrainingPairPool: size ${size} must be a whole number above 0`);
    this.size = size;
    this.#rng = rng;
  }

  /** Pairs that are in it. */
  get filled(): number {
    return this.#pairs.length;
  }

  /**
   * Takes a batch and gives one back: the same while there is room for it, then as many random pairs, in whose places the new ones go.
   *
   * @throws ShapeError when the size is not a multiple of the batch, or the images differ in size from those in the pool
   */
  exchange(batch: TrainingPair): TrainingPair {
    const count = batch.lq.shape[0]!;
    this.#check(batch, count);
    return noGrad(() => {
      const incoming = Array.from({ length: count }, (_, i) => ({ lq: copy(batch.lq, i), gt: copy(batch.gt, i) }));
      if (this.#pairs.length < this.size) {
        this.#pairs.push(...incoming);
        return batch;
      }
      const places = differentPlaces(this.#rng, count, this.#pairs.length);
      const leaving = places.map((place) => this.#pairs[place]!);
      const mixed = joined(leaving);
      for (const [i, place] of places.entries()) this.#pairs[place] = incoming[i]!;
      for (const pair of leaving) dispose(pair);
      return mixed;
    });
  }

  /** Reads the pool back from the device. */
  async state(): Promise<TrainingPairPoolState> {
    const { size } = this;
    const rng = this.#rng.state();
    if (this.#pairs.length === 0) return { size, rng, pairs: null };
    const { lq, gt } = scope(() => joined(this.#pairs));
    const pairs = { lq: await download(lq), gt: await download(gt) };
    dispose({ lq, gt });
    return { size, rng, pairs };
  }

  /** A pool that goes on where another one was. */
  static fromState(device: Device, { size, rng, pairs }: TrainingPairPoolState): TrainingPairPool {
    const pool = new TrainingPairPool(size, Rng.fromState(rng));
    if (!pairs) return pool;
    const [lq, gt] = [device.tensor(pairs.lq.data, pairs.lq.shape), device.tensor(pairs.gt.data, pairs.gt.shape)];
    for (let i = 0; i < lq.shape[0]!; i++) pool.#pairs.push({ lq: copy(lq, i), gt: copy(gt, i) });
    dispose({ lq, gt });
    return pool;
  }

  /** Gives its pairs' memory back. */
  dispose(): void {
    for (const pair of this.#pairs.splice(0)) dispose(pair);
  }

  #check({ lq, gt }: TrainingPair, count: number): void {
    const shapes = `lq [${lq.shape.join(", ")}] and gt [${gt.shape.join(", ")}]`;
    if (gt.shape[0] !== count || count < 1 || this.size % count !== 0) {
      throw new ShapeError(`TrainingPairPool: ${shapes}: the size ${this.size} must be a multiple of the batch`);
    }
    const [held] = this.#pairs;
    const same = (a: Shape, b: Shape): boolean => a.slice(1).join() === b.slice(1).join();
    if (held && !(same(held.lq.shape, lq.shape) && same(held.gt.shape, gt.shape))) {
      const sizes = `[${held.lq.shape.slice(1).join(", ")}] and [${held.gt.shape.slice(1).join(", ")}]`;
      throw new ShapeError(`TrainingPairPool: ${shapes}: the pool holds images of ${sizes}`);
    }
  }
}

/** One image in storage of its own, so that it does not hold its batch. */
function copy(images: Tensor, index: number): Tensor {
  return keep(clone(narrow(images, 0, index, 1)));
}

function joined(pairs: readonly TrainingPair[]): { lq: Tensor; gt: Tensor } {
  // Joining one tensor gives that tensor, which belongs to the pool.
  const join = (images: readonly Tensor[]): Tensor => (images.length === 1 ? clone(images[0]!) : cat(images, 0));
  return { lq: join(pairs.map(({ lq }) => lq)), gt: join(pairs.map(({ gt }) => gt)) };
}

function dispose({ lq, gt }: TrainingPair): void {
  lq.dispose();
  gt.dispose();
}

async function download(images: Tensor): Promise<HostImages> {
  return { shape: images.shape, data: (await images.data()) as Float32Array };
}
