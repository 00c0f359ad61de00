import { DeviceError, shownBytes } from "../../errors.ts";
import { FreeLists, type Held, Pool } from "../pool.ts";
import { Extents } from "./extents.ts";
import { MAX_PAGES } from "./wasm/module.ts";

/** Bytes of one page of WebAssembly memory. */
const PAGE = 65536;
/** Bytes that WebAssembly addresses. */
export const MOST_BYTES = MAX_PAGES * PAGE;
/** Kernels read whole vectors and may look this far past the end of what they were given. */
const GUARD = 256;
/** The memory grows by at least this much, so that growing is rare. */
const GROWTH = 32 * 2 ** 20;
/** Blocks up to this size are small. */
const SMALL = 256 * 1024;
/** Small blocks lie together in stretches of this size. */
const ARENA = 4 * 2 ** 20;

/** A stretch of the WebAssembly memory; its place is an address. */
export type Block = Held<number>;

/** What of a WebAssembly memory counts here. */
interface GrowingMemory {
  readonly buffer: { readonly byteLength: number };
  grow(pages: number): number;
}

/**
 * Blocks of one WebAssembly memory. What is given back can be taken again at once: launches run in the order in which they were
 * recorded. The address space ends, so what is free has to stay in large pieces: small blocks, of which there are many and some that live
 * for ever, lie apart in arenas and are used again by size class; large ones come from the smallest free stretch that holds them, and
 * join their free neighbours when they are given back. Before a request is refused, arenas without a block become stretches again.
 */
export class BlockPool extends Pool<number> {
  readonly memory: GrowingMemory;
  /** Where the largest possible memory ends. */
  readonly limit: number;
  readonly #first: number;
  /** Free small blocks. */
  readonly #small = new FreeLists<number>();
  /** What no block of the arenas covers. */
  readonly #loose = new Extents();
  /** Where each arena begins, and its bytes. */
  readonly #arenas = new Map<number, number>();
  /** What is free for large blocks and arenas below the top. */
  readonly #large = new Extents();
  /** Nothing is in use from here on, */
  #top: number;
  /** and nothing ever was from here on. */
  #untouched: number;

  /** @param first the first address that blocks may use. @param limit bytes of address space, at most 4 GiB. */
  constructor(memory: GrowingMemory, first: number, limit: number = MOST_BYTES) {
    super(limit < MOST_BYTES ? limit - first : limit - 2 ** 20);
    this.memory = memory;
    this.#first = first;
    this.#top = first;
    this.#untouched = first;
    this.limit = limit;
  }

  protected override tooLarge(bytes: number, label: string): DeviceError {
    return new DeviceError(
      `${label}: a tensor of ${bytes} bytes is over this adapter's limit of ${this.largest} bytes: ${this.#end()}; ` +
        "use a smaller batch or tile, or a GPU",
    );
  }

  // Kernels take any address, and write nothing past their end: pieces touch, so that there are no gaps.
  protected override readonly alignment = 4;

  protected override within(address: number, offset: number): number {
    return address + offset;
  }

  protected override get pooledBytes(): number {
    return this.#small.bytes + this.#loose.bytes + this.#large.bytes;
  }

  protected override reuse(size: number): number | undefined {
    return size <= SMALL ? (this.#small.take(size) ?? this.#fromArenas(size)) : this.#fromUsed(size);
  }

  protected override free(address: number, size: number): void {
    if (size <= SMALL) this.#small.add(address, size);
    else this.#freeLarge(address, size);
  }

  protected override create(size: number, bytes: number, label: string): number {
    const address = this.#fromNew(size) ?? this.#fromJoined(size);
    if (address !== undefined) return address;
    throw new DeviceError(
      `${label}: no room for ${bytes} bytes (${shownBytes(bytes)}): ${shownBytes(this.report().liveBytes)} are in use, and ${this.#end()}; ` +
        `use a smaller batch or tile, free tensors (scope, dispose), or use a GPU; ${this.heldBy()}`,
    );
  }

  /** What the memory ends with. */
  #end(): string {
    return this.limit < MOST_BYTES
      ? `memoryLimit allows ${shownBytes(this.limit - this.#first)}`
      : `the CPU backend's WebAssembly memory ends at ${shownBytes(MOST_BYTES)}`;
  }

  /** A small block out of the arenas, or out of a new one in memory that was used before. */
  #fromArenas(size: number): number | undefined {
    return this.#loose.take(size) ?? this.#fromArena(size, this.#fromUsed(ARENA), ARENA);
  }

  #fromArena(size: number, arena: number | undefined, bytes: number): number | undefined {
    if (arena === undefined) return undefined;
    this.#arenas.set(arena, bytes);
    this.#loose.add(arena, bytes);
    return this.#loose.take(size);
  }

  /** Memory that was used before. */
  #fromUsed(size: number): number | undefined {
    return this.#large.take(size) ?? (this.#top + size <= this.#untouched ? this.#fromTop(size) : undefined);
  }

  /** Memory of which some is new. */
  #fromNew(size: number): number | undefined {
    if (size > SMALL) return this.#fromTop(size);
    const arena = this.#fromTop(ARENA);
    if (arena !== undefined) this.onFree?.(arena, ARENA);
    return this.#fromArena(size, arena, ARENA);
  }

  #fromTop(size: number): number | undefined {
    const end = this.#top + size;
    if (end + GUARD > this.limit || !this.#grow(end + GUARD)) return undefined;
    const address = this.#top;
    this.#top = end;
    this.#untouched = Math.max(this.#untouched, end);
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

  #freeLarge(address: number, size: number): void {
    this.#large.add(address, size);
    this.#top = this.#large.takeEnd(this.#top);
  }

  /** The last resort: free small blocks are joined, and arenas that are free as a whole given back. */
  #fromJoined(size: number): number | undefined {
    for (const [address, bytes] of this.#small.drain()) this.#loose.add(address, bytes);
    for (const [arena, bytes] of this.#arenas) {
      if (!this.#loose.takeAt(arena, bytes)) continue;
      this.#arenas.delete(arena);
      this.#freeLarge(arena, bytes);
    }
    const large = (): number | undefined => this.#large.take(size) ?? this.#fromTop(size);
    if (size > SMALL) return large();
    // Where there is no room for an arena there may be for the block.
    return this.#fromArenas(size) ?? this.#fromNew(size) ?? this.#fromArena(size, large(), size);
  }
}
