import { DeviceError, shownBytes } from "../../errors.ts";
import { Pool } from "../pool.ts";
import type { DeviceBuffer } from "./gpu.ts";

/** A buffer, and the windows onto it. */
interface PooledBuffer extends DeviceBuffer {
  /** The flush after which it was given back last. */
  since: number;
  windows: Map<string, PooledBuffer> | undefined;
  arena: Arena | undefined;
}

/** The buffers of one tape, which nobody else gets before it is released. */
export class Arena {
  readonly buffers = new Map<DeviceBuffer, { readonly size: number; free: boolean }>();
}

/**
 * Buffers that wait for their next use. Who asks gets the one of its size that was made first, so that where buffers go depends on which are free and not
 * on the order in which they were given back: each step of steady shape finds the buffers of the step before, and with them its bind groups.
 */
class WaitingBuffers {
  /** By size, the newest first. */
  readonly #lists = new Map<number, PooledBuffer[]>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  take(size: number): PooledBuffer | undefined {
    const buffer = this.#lists.get(size)?.pop();
    if (buffer) this.#bytes -= size;
    return buffer;
  }

  add(buffer: PooledBuffer, size: number): void {
    this.#bytes += size;
    const list = this.#lists.get(size);
    if (!list) {
      this.#lists.set(size, [buffer]);
      return;
    }
    let [from, to] = [0, list.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (list[middle]!.id > buffer.id) from = middle + 1;
      else to = middle;
    }
    list.splice(from, 0, buffer);
  }

  /** Takes out the one that has waited longest, if that is for more than `patience` flushes. */
  takeOldest(flushes: number, patience: number): readonly [buffer: PooledBuffer, size: number] | undefined {
    let oldest: { readonly list: PooledBuffer[]; readonly at: number; readonly size: number } | undefined;
    let since = flushes - patience;
    for (const [size, list] of this.#lists) {
      for (const [at, buffer] of list.entries()) {
        if (buffer.since >= since) continue;
        since = buffer.since;
        oldest = { list, at, size };
      }
    }
    if (!oldest) return undefined;
    this.#bytes -= oldest.size;
    return [oldest.list.splice(oldest.at, 1)[0]!, oldest.size];
  }

  /** Takes out all. */
  drain(): (readonly [buffer: PooledBuffer, size: number])[] {
    const all = [...this.#lists].flatMap(([size, list]) => list.map((buffer) => [buffer, size] as const));
    this.#lists.clear();
    this.#bytes = 0;
    return all;
  }
}

/** What the buffers of a device have to keep to, and who is told of them. */
export interface BufferPoolOptions {
  /** Bytes of the largest buffer. */
  readonly largest: number;
  /** Bytes of all buffers together, in use and waiting, and what says so; without it the device's own refusal is the end. */
  readonly limit?: { readonly bytes: number; readonly because: string };
  /** The error of a buffer that the device turns out to have no memory for: what is computed into it is lost, everything else goes on. */
  readonly blame: (label: string, problem: string) => DeviceError;
  /** Called before a request is refused: submits what is recorded, and returns whether that is all of it. */
  readonly submit: () => boolean;
  /** Called with buffers that are no more. */
  readonly onDestroy: (buffers: ReadonlySet<DeviceBuffer>) => void;
}

/** Bytes that may wait for their next use for ever. */
const KEPT_BYTES = 64 * 2 ** 20;
/** Where more wait, those go that nobody took for this many flushes: a step of steady shape takes each of its buffers at every one. */
const PATIENCE = 16;

/** Bind groups take what begins at a multiple of this of every adapter's buffers. */
const BINDING_ALIGNMENT = 256;

const ADVICE = "use a smaller batch or tile, or free tensors (scope, dispose)";

/** The buffers of a device. */
export class BufferPool extends Pool<PooledBuffer> {
  readonly #device: GPUDevice;
  readonly #options: BufferPoolOptions;
  readonly #free = new WaitingBuffers();
  /** Buffers of which the device has not said yet whether it has the memory. */
  readonly #unsaid = new Set<Promise<void>>();
  /** Whether the device had no memory since the last flush. */
  #short = false;
  /** Whose buffers are given out now. */
  arena: Arena | undefined;
  /** What waits in arenas. */
  #arenaBytes = 0;
  #bytes = 0;
  #flushes = 0;
  #nextId = 1;
  #closed = false;

  constructor(device: GPUDevice, options: BufferPoolOptions) {
    super(Math.floor(options.largest / 16) * 16);
    this.#device = device;
    this.#options = options;
  }

  /** Settles when the device has said of every buffer whether it has the memory; undefined when it has. */
  get allocating(): Promise<void> | undefined {
    return this.#unsaid.size > 0 ? Promise.allSettled(this.#unsaid).then(() => undefined) : undefined;
  }

  protected override tooLarge(bytes: number, label: string): DeviceError {
    return new DeviceError(
      `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.largest} bytes for one buffer; ` +
        "use a smaller batch or tile, or an adapter with larger limits",
    );
  }

  protected override reuse(size: number): PooledBuffer | undefined {
    const { arena } = this;
    if (!arena) return this.#waiting(size);
    for (const [buffer, state] of arena.buffers) {
      if (!state.free || state.size !== size) continue;
      state.free = false;
      this.#arenaBytes -= size;
      return buffer as PooledBuffer;
    }
    const buffer = this.#waiting(size);
    if (buffer) this.#enter(arena, buffer, size);
    return buffer;
  }

  /** One that waits and that the device has memory for. */
  #waiting(size: number): PooledBuffer | undefined {
    const buffer = this.#free.take(size);
    if (!buffer?.refused) return buffer;
    this.#options.onDestroy(new Set([this.#destroy(buffer, size)]));
    return this.#waiting(size);
  }

  #enter(arena: Arena, buffer: PooledBuffer, size: number): void {
    buffer.arena = arena;
    arena.buffers.set(buffer, { size, free: false });
  }

  /** Gives the buffers of an arena to all. */
  release(arena: Arena): void {
    for (const [buffer, { size, free }] of arena.buffers) {
      (buffer as PooledBuffer).arena = undefined;
      if (!free) continue;
      this.#arenaBytes -= size;
      this.free(buffer as PooledBuffer, size);
    }
    arena.buffers.clear();
  }

  protected override free(buffer: PooledBuffer, size: number): void {
    const own = buffer.arena?.buffers.get(buffer);
    if (own) {
      own.free = true;
      this.#arenaBytes += size;
      return;
    }
    buffer.since = this.#flushes;
    this.#free.add(buffer, size);
    if (this.#closed) this.#destroyWaiting();
  }

  protected override readonly alignment = BINDING_ALIGNMENT;

  protected override within(of: PooledBuffer, offset: number, bytes: number): PooledBuffer {
    of.windows ??= new Map();
    const key = `${offset}+${bytes}`;
    let found = of.windows.get(key);
    if (!found) {
      const { buffer, since } = of;
      found = {
        ...{ buffer, id: this.#nextId++, since, windows: undefined, arena: undefined, window: { of, offset, bytes } },
        get refused() {
          return of.refused;
        },
      };
      of.windows.set(key, found);
    }
    return found;
  }

  protected override get pooledBytes(): number {
    return this.#free.bytes + this.#arenaBytes;
  }

  protected override create(size: number, bytes: number, label: string): PooledBuffer {
    const { limit } = this.#options;
    if (limit && this.#bytes + size > limit.bytes) {
      this.#makeRoom();
      if (this.#bytes + size > limit.bytes) throw this.#noRoom(bytes, label, limit);
    }
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({
      label,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const pooled: PooledBuffer = {
      buffer,
      id: this.#nextId++,
      since: 0,
      refused: undefined,
      windows: undefined,
      arena: undefined,
    };
    const check = this.#device.popErrorScope().then((error) => {
      if (error) this.#refused(pooled, label, `the device has no memory for ${size} bytes: ${error.message}`);
    });
    this.#unsaid.add(check);
    const said = (): void => void this.#unsaid.delete(check);
    // It rejects when the device goes away, which the device tells itself.
    check.then(said, said);
    this.#bytes += size;
    if (this.arena) this.#enter(this.arena, pooled, size);
    return pooled;
  }

  /** The device says so later: what is computed into a buffer that it has no memory for is lost; at the next flush what waits makes room. */
  #refused(buffer: PooledBuffer, label: string, problem: string): void {
    const error = this.#options.blame(label, `${problem}; ${ADVICE}; ${this.heldBy()}`);
    buffer.refused = error;
    this.#short = true;
  }

  /** Destroys what waits, where everything that may use it still is with the device. */
  #makeRoom(): void {
    if (this.#options.submit()) this.#destroyWaiting();
  }

  #noRoom(bytes: number, label: string, { because }: { readonly because: string }): DeviceError {
    return new DeviceError(
      `${label}: no room for ${bytes} bytes (${shownBytes(bytes)}): ${shownBytes(this.report().liveBytes)} are in use, and ` +
        `${because}; ${ADVICE}; ${this.heldBy()}`,
    );
  }

  /** A flush is over: destroys what has waited for too many. Call it only when everything recorded has been submitted. */
  trim(): void {
    this.#flushes++;
    if (this.#short) this.#destroyWaiting();
    this.#short = false;
    const gone = new Set<DeviceBuffer>();
    while (this.#free.bytes > KEPT_BYTES) {
      const oldest = this.#free.takeOldest(this.#flushes, PATIENCE);
      if (!oldest) break;
      gone.add(this.#destroy(...oldest));
    }
    if (gone.size > 0) this.#options.onDestroy(gone);
  }

  /** The device is of no use any more: destroys what waits now, and later what is given back. */
  close(): void {
    this.#closed = true;
    this.#destroyWaiting();
  }

  #destroyWaiting(): void {
    const gone = new Set(this.#free.drain().map(([buffer, size]) => this.#destroy(buffer, size)));
    if (gone.size > 0) this.#options.onDestroy(gone);
  }

  #destroy(buffer: PooledBuffer, size: number): PooledBuffer {
    this.#bytes -= size;
    buffer.buffer.destroy();
    return buffer;
  }
}
