import { DeviceError } from "../../errors.ts";
import { FreeLists, type Held, Pool } from "../pool.ts";
import { MAX_PAGES } from "./wasm/module.ts";

/** Bytes of one page of WebAssembly memory. */
const PAGE = 65536;
/** Kernels read whole vectors and may look this far past the end of what they were given. */
const GUARD = 256;
/** The memory grows by at least this much, so that growing is rare. */
const GROWTH = 32 * 2 ** 20;

/** A stretch of the WebAssembly memory; its place is an address. */
export type Block = Held<number>;

/**
 * Blocks of one WebAssembly memory by size class. What is given back can be taken again at once: launches run in the order in
 * which they were recorded. When the address space ends, neighbouring free blocks are joined before a request is refused.
 */
export class BlockPool extends Pool<number> {
  readonly memory: WebAssembly.Memory;
  /** Where the largest possible memory ends. */
  readonly limit: number;
  readonly #free = new FreeLists<number>();
  #gaps: { address: number; bytes: number }[] = [];
  #top: number;

  /** @param first the first address that blocks may use. @param limit bytes of address space, at most 4 GiB. */
  constructor(memory: WebAssembly.Memory, first: number, limit: number = MAX_PAGES * PAGE) {
    super(limit - 2 ** 20);
    this.memory = memory;
    this.#top = first;
    this.limit = limit;
  }

  protected override tooLarge(bytes: number, label: string): DeviceError {
    return new DeviceError(
      `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.largest} bytes: WebAssembly addresses 4 GiB; ` +
        "use a smaller batch or tile, or a GPU",
    );
  }

  protected override reuse(size: number): number | undefined {
    return this.#free.take(size);
  }

  protected override free(address: number, size: number): void {
    this.#free.add(address, size);
  }

  protected override get pooledBytes(): number {
    return this.#free.bytes;
  }

  protected override create(size: number, bytes: number, label: string): number {
    const address = this.#fromGaps(size) ?? this.#fromTop(size) ?? this.#fromJoined(size);
    if (address !== undefined) return address;
    const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`;
    throw new DeviceError(
      `${label}: no room for ${bytes} bytes (${mib(bytes)}): ${mib(this.report().liveBytes)} are in use, and the CPU backend's ` +
        `WebAssembly memory ends at ${mib(this.limit)}; use a smaller batch or tile, free tensors (scope, dispose), or use a GPU`,
    );
  }

  #fromGaps(size: number): number | undefined {
    const index = this.#gaps.findIndex((gap) => gap.bytes >= size);
    const gap = this.#gaps[index];
    if (!gap) return undefined;
    if (gap.bytes === size) this.#gaps.splice(index, 1);
    else this.#gaps[index] = { address: gap.address + size, bytes: gap.bytes - size };
    return gap.address;
  }

  #fromTop(size: number): number | undefined {
    const end = this.#top + size;
    if (end + GUARD > this.limit || !this.#grow(end + GUARD)) return undefined;
    const address = this.#top;
    this.#top = end;
    return address;
  }

  /** Makes the memory at least `end` bytes long; false where the machine refuses. */
  #grow(end: number): boolean {
    const now = this.memory.buffer.byteLength;
    if (end <= now) return true;
    const wanted = Math.min(this.limit, Math.max(end, now + GROWTH));
    for (const target of [wanted, end]) {
      try {
        this.memory.grow(Math.ceil((target - now) / PAGE));
        return true;
      } catch {
        // Less may still be had.
      }
    }
    return false;
  }

  #fromJoined(size: number): number | undefined {
    const parts = this.#free.drain().map(([address, bytes]) => ({ address, bytes }));
    const sorted = [...parts, ...this.#gaps].sort((a, b) => a.address - b.address);
    this.#gaps = [];
    for (const part of sorted) {
      const last = this.#gaps.at(-1);
      if (last && last.address + last.bytes === part.address) last.bytes += part.bytes;
      else this.#gaps.push({ ...part });
    }
    const last = this.#gaps.at(-1);
    if (last && last.address + last.bytes === this.#top) {
      this.#top = last.address;
      this.#gaps.pop();
    }
    return this.#fromGaps(size) ?? this.#fromTop(size);
  }
}
