import type { MemoryReport, Storage } from "../../backend.ts";
import { DeviceError } from "../../errors.ts";

/** A GPU buffer with a count of the tensors that look at it. At zero it goes back to the pool, not to the driver. */
export class BufferStorage implements Storage {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** Names the buffer in the cache of bind groups; never used twice. */
  readonly id: number;
  readonly #pool: BufferPool;
  #references = 0;

  constructor(pool: BufferPool, buffer: GPUBuffer, bytes: number, id: number) {
    this.#pool = pool;
    this.buffer = buffer;
    this.bytes = bytes;
    this.id = id;
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

/** Sizes are rounded up to an eighth of their power of two, so that a freed buffer fits the next request of about its size. */
function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = 2 ** Math.max(8, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/**
 * Buffers by size class. What is given back can be taken again at once: launches run in the order in which they were
 * recorded, so the next owner's come after the last owner's.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #limit: number;
  readonly #onError: (error: DeviceError) => void;
  readonly #free = new Map<number, BufferStorage[]>();
  #nextId = 1;
  #liveBytes = 0;
  #liveBuffers = 0;
  #pooledBytes = 0;
  #peakBytes = 0;

  constructor(device: GPUDevice, limit: number, onError: (error: DeviceError) => void) {
    this.#device = device;
    this.#limit = limit;
    this.#onError = onError;
  }

  take(bytes: number, label: string): BufferStorage {
    if (bytes > this.#limit) {
      throw new DeviceError(
        `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.#limit} bytes for one buffer; ` +
          "use a smaller batch or tile, or an adapter with larger limits",
      );
    }
    const size = Math.min(sizeClass(bytes), Math.floor(this.#limit / 16) * 16);
    const pooled = this.#free.get(size)?.pop();
    const storage = pooled ?? this.#create(size, label);
    if (pooled) this.#pooledBytes -= size;
    storage.retain();
    this.#liveBytes += size;
    this.#liveBuffers++;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes + this.#pooledBytes);
    return storage;
  }

  #create(size: number, label: string): BufferStorage {
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({
      label,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    void this.#device.popErrorScope().then((error) => {
      if (error) {
        this.#onError(new DeviceError(`${label}: the device has no memory for ${size} bytes: ${error.message}`));
      }
    });
    return new BufferStorage(this, buffer, size, this.#nextId++);
  }

  giveBack(storage: BufferStorage): void {
    this.#liveBytes -= storage.bytes;
    this.#liveBuffers--;
    this.#pooledBytes += storage.bytes;
    const list = this.#free.get(storage.bytes);
    if (list) list.push(storage);
    else this.#free.set(storage.bytes, [storage]);
  }

  /** Destroys what waits in the pool. Call it only after everything recorded has been submitted. */
  trim(): readonly BufferStorage[] {
    const dropped = [...this.#free.values()].flat();
    for (const storage of dropped) storage.buffer.destroy();
    this.#free.clear();
    this.#pooledBytes = 0;
    return dropped;
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      liveBuffers: this.#liveBuffers,
      pooledBytes: this.#pooledBytes,
      peakBytes: this.#peakBytes,
      createdBuffers: this.#nextId - 1,
    };
  }
}
