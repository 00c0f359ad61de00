import type { Lot, MemoryReport, OpMemory, Storage } from "../backend.ts";
import { type DeviceError, shownBytes } from "../errors.ts";

/** Who takes memory back. */
interface Owner<Place> {
  takeBack(place: Place, bytes: number, held: Held<Place>): void;
}

/** What belongs to a lot: one piece of it, or several of them as one. */
interface Of<Place> {
  readonly lot: Lot;
  readonly piece: number;
  readonly pieces?: readonly Held<Place>[];
}

// What has no holder lets go of its memory only by being forgotten.
const NOBODY = { takeBack: (): void => {} };

/**
 * A place in a device's memory from the moment it is taken until the last of its holders lets go of it. From then on this object is dead
 * for ever, whoever gets the place next: using it, or letting go of it once more, throws.
 */
export class Held<Place> implements Storage {
  readonly bytes: number;
  /** What it was taken for. */
  readonly label: string;
  readonly lot: Lot | undefined;
  readonly piece: number;
  /** The neighbours in the pool's list of everything that is held. */
  before: Held<Place> | undefined;
  after: Held<Place> | undefined;
  readonly #owner: Owner<Place>;
  readonly #place: Place;
  /** The pieces of a lot that this stands for. */
  readonly #pieces: readonly Held<Place>[] | undefined;
  #failure: DeviceError | undefined;
  #references = 1;

  constructor(owner: Owner<Place>, place: Place, bytes: number, label: string, of?: Of<Place>) {
    this.#owner = owner;
    this.#place = place;
    this.bytes = bytes;
    this.label = label;
    this.lot = of?.lot;
    this.piece = of?.piece ?? 0;
    this.#pieces = of?.pieces;
  }

  /** Set and cleared in the order in which launches run, which may be long after they were recorded. */
  get failure(): DeviceError | undefined {
    return this.#pieces ? this.#pieces.find(({ failure }) => failure)?.failure : this.#failure;
  }

  set failure(failure: DeviceError | undefined) {
    if (!this.#pieces) this.#failure = failure;
    else for (const piece of this.#pieces) piece.failure = failure;
  }

  get references(): number {
    return this.#references;
  }

  /** Where it lies. @throws Error when it has been given back */
  get place(): Place {
    if (this.#references === 0) this.#dead("used");
    return this.#place;
  }

  /** For a launch that is recorded now, and may run when this is given back already. @throws Error when it is now */
  recorded(): this {
    if (this.#references === 0) this.#dead("used");
    return this;
  }

  /** Where it lies or lay, for what was recorded while it was held: that runs before anything of who has the place next. */
  get recordedPlace(): Place {
    return this.#place;
  }

  retain(): void {
    if (this.#references === 0) this.#dead("retained");
    this.#references++;
  }

  release(): void {
    if (this.#references === 0) this.#dead("given back");
    if (--this.#references === 0) this.#owner.takeBack(this.#place, this.bytes, this);
  }

  #dead(done: string): never {
    throw new Error(`internal: the memory of ${this.label} (${this.bytes} bytes) is ${done} after it was given back`);
  }
}

/** One piece of a device's memory, cut up. It goes back when the last of its pieces does. */
class PooledLot<Place> implements Lot {
  readonly pieces: readonly Held<Place>[];
  readonly offsets: readonly number[];
  readonly #whole: Held<Place>;
  readonly #within: (offset: number, bytes: number) => Place;
  #left: number;

  /** @param offsets where each piece begins, and where the last one ends */
  constructor(
    whole: Held<Place>,
    sizes: readonly number[],
    offsets: readonly number[],
    within: (offset: number, bytes: number) => Place,
  ) {
    this.#whole = whole;
    this.#within = within;
    this.#left = sizes.length;
    this.offsets = offsets;
    this.pieces = sizes.map((bytes, piece) => {
      const room = offsets[piece + 1]! - offsets[piece]!;
      return new Held(this, within(offsets[piece]!, room), bytes, whole.label, { lot: this, piece });
    });
  }

  join(first: number, last: number, holds = false): Storage {
    const offset = this.offsets[first]!;
    const bytes = this.offsets[last + 1]! - offset;
    const pieces = this.pieces.slice(first, last + 1);
    for (const piece of pieces) piece.recorded();
    const of = { lot: this, piece: first, pieces };
    if (holds) for (const piece of pieces) piece.retain();
    const takeBack = (): void => {
      for (const piece of pieces) piece.release();
    };
    return new Held(holds ? { takeBack } : NOBODY, this.#within(offset, bytes), bytes, this.#whole.label, of);
  }

  takeBack(): void {
    if (--this.#left === 0) this.#whole.release();
  }
}

/** Sizes are rounded up to an eighth of their power of two, so that what is freed fits the next request of about its size. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = 2 ** Math.max(8, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/** Free places by their size. */
export class FreeLists<Place> {
  #lists = new Map<number, Place[]>();
  #bytes = 0;

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  take(size: number): Place | undefined {
    const place = this.#lists.get(size)?.pop();
    if (place !== undefined) this.#bytes -= size;
    return place;
  }

  add(place: Place, size: number): void {
    this.#bytes += size;
    const list = this.#lists.get(size);
    if (list) list.push(place);
    else this.#lists.set(size, [place]);
  }

  /** Takes out everything. */
  drain(): (readonly [place: Place, size: number])[] {
    const all = [...this.#lists].flatMap(([size, places]) => places.map((place) => [place, size] as const));
    this.#lists = new Map();
    this.#bytes = 0;
    return all;
  }
}

/**
 * The memory of a device. What is given back can be taken again at once: launches run in the order in which they were recorded, so the
 * next owner's come after the last owner's.
 */
export abstract class Pool<Place> {
  /** The largest piece there can be, in bytes. */
  readonly largest: number;
  /** Told of memory that belongs to nobody from now on: new, or just given back. It may be filled with what shows a use of it. */
  onFree: ((place: Place, bytes: number) => void) | undefined;
  #created = 0;
  #liveBytes = 0;
  #liveBuffers = 0;
  #peakBytes = 0;
  #peakLiveBytes = 0;
  #last: Held<Place> | undefined;
  #profile: Profile | undefined;

  constructor(largest: number) {
    this.largest = largest;
  }

  /** Pieces of a lot begin at multiples of so many bytes. */
  protected abstract readonly alignment: number;
  /** What begins so many bytes behind a place, and is so long; the same each time. */
  protected abstract within(place: Place, offset: number, bytes: number): Place;
  /** A free place of `size` bytes, if there is one. */
  protected abstract reuse(size: number): Place | undefined;
  /** New memory of `size` bytes, of which `bytes` were asked for. @throws DeviceError when there is none. */
  protected abstract create(size: number, bytes: number, label: string): Place;
  /** Takes in a place that is free again. */
  protected abstract free(place: Place, size: number): void;
  /** Bytes that wait for the next who asks. */
  protected abstract get pooledBytes(): number;
  /** What to say of a request over `largest`. */
  protected abstract tooLarge(bytes: number, label: string): DeviceError;

  /** @param label what it is for, for messages @throws DeviceError when there is no room, naming what it was for. */
  take(bytes: number, label: string): Held<Place> {
    if (bytes > this.largest) throw this.tooLarge(bytes, label);
    const size = Math.min(sizeClass(bytes), this.largest);
    let place = this.reuse(size);
    if (place === undefined) {
      place = this.create(size, bytes, label);
      this.#created++;
      this.onFree?.(place, size);
    }
    this.#liveBytes += size;
    this.#liveBuffers++;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes + this.pooledBytes);
    this.#peakLiveBytes = Math.max(this.#peakLiveBytes, this.#liveBytes);
    const held = new Held(this, place, size, label);
    held.before = this.#last;
    if (this.#last) this.#last.after = held;
    this.#last = held;
    this.#profile?.take(label, size);
    return held;
  }

  /** Pieces of these sizes, above 0, one behind the other. @throws DeviceError as `take` */
  takeLot(sizes: readonly number[], label: string): Lot {
    const offsets = [0];
    for (const bytes of sizes) {
      offsets.push(offsets.at(-1)! + Math.ceil(bytes / this.alignment) * this.alignment);
    }
    const whole = this.take(offsets.at(-1)!, label);
    const place = whole.recordedPlace;
    return new PooledLot(whole, sizes, offsets, (offset, bytes) => this.within(place, offset, bytes));
  }

  /** Called by what was taken, when its last holder lets go. */
  takeBack(place: Place, bytes: number, held: Held<Place>): void {
    const { before, after } = held;
    if (before) before.after = after;
    if (after) after.before = before;
    else this.#last = before;
    this.#profile?.takeBack(held.label, bytes);
    this.#liveBytes -= bytes;
    this.#liveBuffers--;
    this.onFree?.(place, bytes);
    this.free(place, bytes);
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      liveBuffers: this.#liveBuffers,
      pooledBytes: this.pooledBytes,
      peakBytes: this.#peakBytes,
      peakLiveBytes: this.#peakLiveBytes,
      createdBuffers: this.#created,
    };
  }

  /** What ops held at the highest moment since this was called last, the largest first; what they hold now at the first call. */
  profile(): readonly OpMemory[] {
    const held = this.#profile?.highest() ?? this.#heldNow().highest();
    this.#profile = this.#heldNow();
    return held;
  }

  /** What holds most at this moment, for a message. */
  protected heldBy(): string {
    const largest: Held<Place>[] = [];
    for (let held = this.#last; held; held = held.before) {
      const { bytes } = held;
      const at = largest.findIndex((other) => other.bytes <= bytes);
      if (at >= 0 || largest.length < LARGEST_TENSORS) largest.splice(at < 0 ? largest.length : at, 0, held);
      if (largest.length > LARGEST_TENSORS) largest.pop();
    }
    if (largest.length === 0) return "nothing is held";
    const tensors = largest.map(({ label, bytes }) => `${label} (${shownBytes(bytes)})`).join(", ");
    const ops = this.#heldNow()
      .highest()
      .map(({ op, bytes, buffers }) => `${op} ${shownBytes(bytes)} in ${buffers}`);
    return `the largest tensors are ${tensors}; most is held by ${ops.join(", ")}`;
  }

  #heldNow(): Profile {
    const profile = new Profile();
    for (let held = this.#last; held; held = held.before) profile.take(held.label, held.bytes);
    return profile;
  }
}

/** How many tensors a message names. */
const LARGEST_TENSORS = 5;
/** How many ops a profile names. */
const LARGEST = 10;
/** What stands behind the op in a label. */
const DESCRIPTION = / (f32|f16|i32|u32|bool)\[.*$/;

/** What ops hold, and held when all together held most. */
class Profile {
  readonly #now = new Map<string, { bytes: number; buffers: number }>();
  #bytes = 0;
  #highest = 0;
  /** Undefined while what is held now is the most. */
  #then: readonly OpMemory[] | undefined;

  take(label: string, bytes: number): void {
    const op = label.replace(DESCRIPTION, "");
    const held = this.#now.get(op);
    if (held) {
      held.bytes += bytes;
      held.buffers++;
    } else this.#now.set(op, { bytes, buffers: 1 });
    this.#bytes += bytes;
    if (this.#bytes > this.#highest) {
      this.#highest = this.#bytes;
      this.#then = undefined;
    }
  }

  takeBack(label: string, bytes: number): void {
    if (this.#bytes === this.#highest) this.#then ??= this.#list();
    const held = this.#now.get(label.replace(DESCRIPTION, ""))!;
    held.bytes -= bytes;
    held.buffers--;
    this.#bytes -= bytes;
  }

  highest(): readonly OpMemory[] {
    return this.#then ?? this.#list();
  }

  #list(): readonly OpMemory[] {
    return [...this.#now]
      .map(([op, { bytes, buffers }]) => ({ op, bytes, buffers }))
      .filter(({ buffers }) => buffers > 0)
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, LARGEST);
  }
}
