import { DeviceError } from "../../errors.ts";
import { Pool, Pooled } from "../pool.ts";

/** A GPU buffer with its reference count. */
export class BufferStorage extends Pooled {
  readonly buffer: GPUBuffer;
  /** Names the buffer in the cache of bind groups; never used twice. */
  readonly id: number;

  constructor(pool: BufferPool, buffer: GPUBuffer, bytes: number, id: number) {
    super(pool, bytes);
    this.buffer = buffer;
    this.id = id;
  }
}

/** The buffers of a device. */
export class BufferPool extends Pool<BufferStorage> {
  readonly #device: GPUDevice;
  readonly #onError: (error: DeviceError) => void;
  #nextId = 1;

  /** @param limit bytes of the largest buffer @param onError called when the device turns out to have no memory left */
  constructor(device: GPUDevice, limit: number, onError: (error: DeviceError) => void) {
    super(Math.floor(limit / 16) * 16);
    this.#device = device;
    this.#onError = onError;
  }

  protected override tooLarge(bytes: number, label: string): DeviceError {
    return new DeviceError(
      `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.largest} bytes for one buffer; ` +
        "use a smaller batch or tile, or an adapter with larger limits",
    );
  }

  protected override create(size: number, _bytes: number, label: string): BufferStorage {
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

  /** Destroys what waits in the pool. Call it only after everything recorded has been submitted. */
  trim(): readonly BufferStorage[] {
    const dropped = this.drain();
    for (const storage of dropped) storage.buffer.destroy();
    return dropped;
  }
}
