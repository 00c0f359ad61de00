import { DeviceError } from "../../errors.ts";
import { FreeLists, Pool } from "../pool.ts";
import type { DeviceBuffer } from "./gpu.ts";

/** The buffers of a device. */
export class BufferPool extends Pool<DeviceBuffer> {
  readonly #device: GPUDevice;
  readonly #onError: (error: DeviceError) => void;
  readonly #free = new FreeLists<DeviceBuffer>();
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

  protected override reuse(size: number): DeviceBuffer | undefined {
    return this.#free.take(size);
  }

  protected override free(buffer: DeviceBuffer, size: number): void {
    this.#free.add(buffer, size);
  }

  protected override get pooledBytes(): number {
    return this.#free.bytes;
  }

  protected override create(size: number, _bytes: number, label: string): DeviceBuffer {
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({
      label,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const check = this.#device.popErrorScope().then((error) => {
      if (error) {
        this.#onError(new DeviceError(`${label}: the device has no memory for ${size} bytes: ${error.message}`));
      }
    });
    // It rejects when the device goes away, which the device tells itself.
    check.catch(() => {});
    return { buffer, id: this.#nextId++ };
  }

  /** Destroys what waits in the pool. Call it only after everything recorded has been submitted. */
  trim(): void {
    for (const [{ buffer }] of this.#free.drain()) buffer.destroy();
  }
}
