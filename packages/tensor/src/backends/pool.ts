import type { MemoryReport, Storage } from "../backend.ts";
import type { DeviceError } from "../errors.ts";

/** Storage with a count of the tensors that look at it. At zero it goes back to its pool. */
export abstract class Pooled implements Storage {
  readonly bytes: number;
  readonly #pool: Pool<Pooled>;
  #references = 0;

  constructor(pool: Pool<Pooled>, bytes: number) {
    this.#pool = pool;
    this.bytes = bytes;
  }

  get references(): number {
    return this.#references;
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    if (this.#references <= 0) throw new Error("internal: storage released more often than retained");
    if (--this.#references === 0) this.#pool.giveBack(this);
  }
}

/** Sizes are rounded up to an eighth of their power of two, so that what is freed fits the next request of about its size. */
function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = 2 ** Math.max(8, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/**
 * Memory by size class. What is given back can be taken again at once: launches run in the order in which they were recorded, so the
 * next owner's come after the last owner's.
 */
export abstract class Pool<Kind extends Pooled> {
  /** The largest piece there can be, in bytes. */
  readonly largest: number;
  readonly #free = new Map<number, Kind[]>();
  #created = 0;
  #liveBytes = 0;
  #liveBuffers = 0;
  #pooledBytes = 0;
  #peakBytes = 0;

  constructor(largest: number) {
    this.largest = largest;
  }

  /** New memory of `size` bytes, of which `bytes` were asked for. @throws DeviceError when there is none. */
  protected abstract create(size: number, bytes: number, label: string): Kind;
  /** What to say of a request over `largest`. */
  protected abstract tooLarge(bytes: number, label: string): DeviceError;

  /** @param label what it is for, for messages @throws DeviceError when there is no room, naming what it was for. */
  take(bytes: number, label: string): Kind {
    if (bytes > this.largest) throw this.tooLarge(bytes, label);
    const size = Math.min(sizeClass(bytes), this.largest);
    const pooled = this.#free.get(size)?.pop();
    const storage = pooled ?? this.create(size, bytes, label);
    if (pooled) this.#pooledBytes -= size;
    else this.#created++;
    storage.retain();
    this.#liveBytes += size;
    this.#liveBuffers++;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes + this.#pooledBytes);
    return storage;
  }

  giveBack(storage: Kind): void {
    this.#liveBytes -= storage.bytes;
    this.#liveBuffers--;
    this.#pooledBytes += storage.bytes;
    const list = this.#free.get(storage.bytes);
    if (list) list.push(storage);
    else this.#free.set(storage.bytes, [storage]);
  }

  /** Takes everything out of the pool that waits in it. */
  protected drain(): Kind[] {
    const waiting = [...this.#free.values()].flat();
    this.#free.clear();
    this.#pooledBytes = 0;
    return waiting;
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      liveBuffers: this.#liveBuffers,
      pooledBytes: this.#pooledBytes,
      peakBytes: this.#peakBytes,
      createdBuffers: this.#created,
    };
  }
}
