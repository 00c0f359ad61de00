import type { MemoryReport, Storage } from "../../backend.ts";
import { DeviceError } from "../../errors.ts";
import { MAX_PAGES } from "./wasm/module.ts";

/** Bytes of one page of WebAssembly memory. */
const PAGE = 65536;
/** Kernels read whole vectors and may look this far past the end of what they were given. */
const GUARD = 256;
/** The memory grows by at least this much, so that growing is rare. */
const GROWTH = 32 * 2 ** 20;

/** A stretch of the WebAssembly memory with its reference count. */
export class Block implements Storage {
  readonly bytes: number;
  readonly address: number;
  readonly #pool: BlockPool;
  #references = 0;

  constructor(pool: BlockPool, address: number, bytes: number) {
    this.#pool = pool;
    this.address = address;
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

/** Sizes are rounded up to an eighth of their power of two, so that a freed block fits the next request of about its size. */
function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = 2 ** Math.max(8, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/**
 * Blocks of one WebAssembly memory by size class. What is given back can be taken again at once: launches run in the order in
 * which they were recorded. When the address space ends, neighbouring free blocks are joined before a request is refused.
 */
export class BlockPool {
  readonly memory: WebAssembly.Memory;
  /** Where the largest possible memory ends. */
  readonly limit: number;
  readonly #free = new Map<number, Block[]>();
  #gaps: { address: number; bytes: number }[] = [];
  #top: number;
  #created = 0;
  #liveBytes = 0;
  #liveBuffers = 0;
  #pooledBytes = 0;
  #peakBytes = 0;

  /** @param first the first address that blocks may use. @param limit bytes of address space, at most 4 GiB. */
  constructor(memory: WebAssembly.Memory, first: number, limit: number = MAX_PAGES * PAGE) {
    this.memory = memory;
    this.#top = first;
    this.limit = limit;
  }

  /** The largest block there can be. */
  get largest(): number {
    return this.limit - 2 ** 20;
  }

  /** @throws DeviceError when there is no room, naming what the block was for. */
  take(bytes: number, label: string): Block {
    if (bytes > this.largest) {
      throw new DeviceError(
        `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.largest} bytes: WebAssembly addresses 4 GiB; ` +
          "use a smaller batch or tile, or a GPU",
      );
    }
    const size = Math.min(sizeClass(bytes), this.largest);
    const pooled = this.#free.get(size)?.pop();
    if (pooled) this.#pooledBytes -= size;
    const block = pooled ?? this.#create(size, bytes, label);
    block.retain();
    this.#liveBytes += size;
    this.#liveBuffers++;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes + this.#pooledBytes);
    return block;
  }

  #create(size: number, bytes: number, label: string): Block {
    const address = this.#fromGaps(size) ?? this.#fromTop(size) ?? this.#fromJoined(size);
    if (address === undefined) {
      const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`;
      throw new DeviceError(
        `${label}: no room for ${bytes} bytes (${mib(bytes)}): ${mib(this.#liveBytes)} are in use, and the CPU backend's WebAssembly ` +
          `memory ends at ${mib(this.limit)}; use a smaller batch or tile, free tensors (scope, dispose), or use a GPU`,
      );
    }
    this.#created++;
    return new Block(this, address, size);
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
    const parts = [...this.#free.values()].flat().map(({ address, bytes }) => ({ address, bytes }));
    this.#free.clear();
    this.#pooledBytes = 0;
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

  giveBack(block: Block): void {
    this.#liveBytes -= block.bytes;
    this.#liveBuffers--;
    this.#pooledBytes += block.bytes;
    const list = this.#free.get(block.bytes);
    if (list) list.push(block);
    else this.#free.set(block.bytes, [block]);
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
