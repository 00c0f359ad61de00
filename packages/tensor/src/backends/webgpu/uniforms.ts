import type { Uniforms } from "./gpu.ts";
import { aligned, copyUniforms } from "./launch.ts";

/** Room for the uniforms of one bind group. */
export interface UniformPlace {
  readonly buffer: GPUBuffer;
  /** Where it begins, in bytes. */
  readonly offset: number;
}

interface Slot extends UniformPlace {
  readonly block: Block;
  /** As many as are used. */
  readonly words: number;
}

interface Block {
  readonly buffer: GPUBuffer;
  /** What the buffer holds once everything submitted so far, and what is written next, has run. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** Bytes that have been given out. */
  used: number;
  /** What is to be written. */
  readonly changed: Slot[];
}

const BLOCK_BYTES = 65_536;
/** Places that lie no farther apart are written together, with what is between them. */
const WRITTEN_TOGETHER = 4096;

/**
 * Where the uniforms of bind groups lie. Each group has a place of its own, at an offset that is part of it: offsets that are given with each launch cost lavapipe
 * 70 µs of copying the group. Places are written where their uniforms are others than at the launch before, which those of a steady step are not.
 */
export class UniformStore {
  readonly #device: GPUDevice;
  readonly #blocks: Block[] = [];
  /** Places that were given back, by their size. */
  readonly #free = new Map<number, Slot[]>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  take(bytes: number): Slot {
    const size = aligned(bytes);
    const free = this.#free.get(size)?.pop();
    if (free) return { ...free, words: bytes / 4 };
    let block = this.#blocks.find(({ used, words }) => used + size <= 4 * words.length);
    if (!block) {
      const length = Math.max(BLOCK_BYTES, size);
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      const buffer = this.#device.createBuffer({ label: "uniforms", size: length, usage });
      block = { buffer, words: new Uint32Array(length / 4), used: 0, changed: [] };
      this.#blocks.push(block);
    }
    const offset = block.used;
    block.used += size;
    return { buffer: block.buffer, offset, block, words: bytes / 4 };
  }

  giveBack(slot: Slot): void {
    const size = aligned(4 * slot.words);
    const free = this.#free.get(size);
    if (free) free.push(slot);
    else this.#free.set(size, [slot]);
  }

  /** Gives all back. */
  clear(): void {
    this.#free.clear();
    for (const block of this.#blocks) block.used = 0;
  }

  /** Whether these are what is there. */
  holds({ block, offset, words }: Slot, uniforms: Uniforms): boolean {
    const own = block.words;
    const at = offset / 4;
    for (let i = 0; i < words; i++) if (own[at + i] !== uniforms.words[uniforms.from + i]) return false;
    return true;
  }

  /** Puts them there before what is submitted next. */
  put(slot: Slot, uniforms: Uniforms): void {
    if (this.holds(slot, uniforms)) return;
    copyUniforms(uniforms, slot.words, slot.block.words, slot.offset / 4);
    slot.block.changed.push(slot);
  }

  /** Hands over what was put. */
  write(): void {
    for (const { buffer, words, changed } of this.#blocks) {
      if (changed.length === 0) continue;
      changed.sort((a, b) => a.offset - b.offset);
      let [from, to] = [changed[0]!.offset / 4, 0];
      for (const slot of changed) {
        const start = slot.offset / 4;
        if (to > 0 && 4 * (start - to) > WRITTEN_TOGETHER) {
          this.#device.queue.writeBuffer(buffer, 4 * from, words, from, to - from);
          from = start;
        }
        to = start + slot.words;
      }
      this.#device.queue.writeBuffer(buffer, 4 * from, words, from, to - from);
      changed.length = 0;
    }
  }
}

export type { Slot as UniformSlot };
