import { DeviceError } from "../../errors.ts";
import { FreeLists, Pool } from "../pool.ts";
import type { DeviceBuffer } from "./gpu.ts";

/** A buffer, the flush after which it was given back last, and the windows onto it. */
interface PooledBuffer extends DeviceBuffer {
  since: number;
  windows: Map<string, PooledBuffer> | undefined;
}

/** What the buffers of a device have to keep to, and who is told of them. */
export interface BufferPoolOptions {
  /** Bytes of the largest buffer. */
  readonly largest: number;
  /** Bytes of all buffers together, in use and waiting; without it the device's own refusal is the end. */
  readonly limit?: number;
  /** Called when the device turns out to have no memory left. */
  readonly onError: (error: DeviceError) => void;
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
  readonly #free = new FreeLists<PooledBuffer>();
  #bytes = 0;
  #flushes = 0;
  #nextId = 1;
  #closed = false;

  constructor(device: GPUDevice, options: BufferPoolOptions) {
    super(Math.floor(options.largest / 16) * 16);
    this.#device = device;
    this.#options = options;
  }

  protected override tooLarge(bytes: number, label: string): DeviceError {
    return new DeviceError(
      `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.largest} bytes for one buffer; ` +
        "use a smaller batch or tile, or an adapter with larger limits",
    );
  }

  protected override reuse(size: number): PooledBuffer | undefined {
    return this.#free.take(size);
  }

  protected override free(buffer: PooledBuffer, size: number): void {
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
      found = { buffer, id: this.#nextId++, since, windows: undefined, window: { of, offset, bytes } };
      of.windows.set(key, found);
    }
    return found;
  }

  protected override get pooledBytes(): number {
    return this.#free.bytes;
  }

  protected override create(size: number, bytes: number, label: string): PooledBuffer {
    const { limit, submit, onError } = this.#options;
    if (limit !== undefined && this.#bytes + size > limit) {
      if (submit()) this.#destroyWaiting();
      if (this.#bytes + size > limit) throw this.#noRoom(bytes, limit, label);
    }
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({
      label,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const check = this.#device.popErrorScope().then((error) => {
      if (error)
        onError(
          new DeviceError(
            `${label}: the device has no memory for ${size} bytes: ${error.message}; ${ADVICE}; most is held by ${this.heldBy()}`,
          ),
        );
    });
    // It rejects when the device goes away, which the device tells itself.
    check.catch(() => {});
    this.#bytes += size;
    return { buffer, id: this.#nextId++, since: 0, windows: undefined };
  }

  #noRoom(bytes: number, limit: number, label: string): DeviceError {
    const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`;
    return new DeviceError(
      `${label}: no room for ${bytes} bytes (${mib(bytes)}): ${mib(this.report().liveBytes)} are in use, and a software adapter ` +
        `takes ${mib(limit)} of this machine's memory at most; ${ADVICE}; most is held by ${this.heldBy()}`,
    );
  }

  /** A flush is over: destroys what has waited for too many. Call it only when everything recorded has been submitted. */
  trim(): void {
    this.#flushes++;
    const gone = new Set<DeviceBuffer>();
    while (this.#free.bytes > KEPT_BYTES) {
      let oldest: readonly [buffer: PooledBuffer, size: number] | undefined;
      for (const waiting of this.#free.longestWaiting()) {
        if (!oldest || waiting[0].since < oldest[0].since) oldest = waiting;
      }
      if (!oldest || this.#flushes - oldest[0].since <= PATIENCE) break;
      this.#free.takeLongestWaiting(oldest[1]);
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
