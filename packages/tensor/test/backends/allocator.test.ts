import { describe, expect, it } from "vitest";
import { Extents } from "../../src/backends/cpu/extents.ts";
import { type Block, BlockPool } from "../../src/backends/cpu/storage.ts";
import { seeded } from "../../src/testing.ts";

const MIB = 2 ** 20;
const FIRST = 8 * MIB;
const LIMIT = 4096 * MIB;

/** A memory without bytes. */
class Memory {
  buffer = { byteLength: 16 * MIB };
  grow(pages: number): number {
    this.buffer = { byteLength: this.buffer.byteLength + 65536 * pages };
    if (this.buffer.byteLength > LIMIT) throw new RangeError("too much");
    return 0;
  }
}

/** Blocks in use, which must not overlap. */
class Blocks {
  readonly pool = new BlockPool(new Memory(), FIRST, LIMIT);
  readonly #ends = new Map<number, number>();
  /** For each request that was refused, what share of the memory would have been in use with it. */
  readonly refusedAt: number[] = [];

  take(bytes: number): Block | undefined {
    let block: Block;
    try {
      block = this.pool.take(bytes, "x");
    } catch (error) {
      expect(String(error)).toContain("no room");
      this.refusedAt.push((this.pool.report().liveBytes + bytes) / (LIMIT - FIRST));
      return undefined;
    }
    this.#ends.set(block.place, block.place + block.bytes);
    return block;
  }

  release(block: Block): void {
    this.#ends.delete(block.place);
    block.release();
  }

  check(): void {
    const { liveBytes, pooledBytes, liveBuffers } = this.pool.report();
    let [last, sum] = [FIRST, 0];
    for (const [start, end] of [...this.#ends].sort(([a], [b]) => a - b)) {
      if (start < last) throw new Error(`a block at ${start} begins before ${last}, where another one ends`);
      [last, sum] = [end, sum + end - start];
    }
    expect([liveBytes, liveBuffers]).toEqual([sum, this.#ends.size]);
    expect(FIRST + liveBytes + pooledBytes).toBeGreaterThanOrEqual(last);
  }
}

/**
 * Steps of a training whose images change their size: weights and their moments stay; a step's activations are held until its second half,
 * which takes gradients while it releases them in turn; a step that ends for want of memory releases everything of its own.
 */
function train(blocks: Blocks, seed: number, steps: number): Block[] {
  const random = seeded(seed);
  const size = (least: number, most: number): number => Math.floor(least * (most / least) ** random());
  const kept = Array.from({ length: 600 }, () => blocks.take(size(256, 2 * MIB))!);
  for (let step = 0; step < steps; step++) {
    const held: Block[] = [];
    const scale = 0.1 + 0.9 * random();
    const layers = 100 + 900 * random();
    const activation = (): Block | undefined =>
      blocks.take(random() < 0.4 ? size(256, 300_000) : size(300_000, 60 * MIB) * scale);
    const run = (): void => {
      for (let i = 0; i < layers; i++) {
        const [block, scratch] = [activation(), activation()];
        if (block) held.push(block);
        if (scratch) blocks.release(scratch);
        if (!block || !scratch) return;
        // Weights of other layers come and go.
        if (random() < 0.02) {
          const next = blocks.take(size(256, 2 * MIB));
          if (next) blocks.release(kept.splice(Math.floor(random() * kept.length), 1, next)[0]!);
        }
      }
      while (held.length > 0) {
        const gradient = activation();
        blocks.release(held.pop()!);
        if (!gradient) return;
        if (random() < 0.1) held.splice(Math.floor(random() * held.length), 0, gradient);
        else blocks.release(gradient);
      }
    };
    run();
    blocks.check();
    for (const block of held) blocks.release(block);
  }
  return kept;
}

describe("blocks of the memory", () => {
  it.each([1, 2, 3])("do not overlap, join again, and are refused only when little is left (seed %i)", (seed) => {
    const blocks = new Blocks();
    const kept = train(blocks, seed, 60);
    for (const block of kept) blocks.release(block);
    blocks.check();
    const all = blocks.pool.take(3584 * MIB, "all");
    expect(all.place).toBe(FIRST);
    // A pool that cuts blocks from the top and keeps them by size refuses at 0.74 already.
    expect(blocks.refusedAt.length).toBeGreaterThan(3);
    expect(Math.min(...blocks.refusedAt)).toBeGreaterThan(0.95);
  });

  it("are used again by a step of a steady shape", () => {
    const { pool } = new Blocks();
    const step = (): void => {
      const blocks = [300, 5000, 400_000, 7 * MIB, 600_000, 300, 30 * MIB].map((bytes) => pool.take(bytes, "x"));
      for (const i of [3, 0, 6, 2, 1, 5, 4]) blocks[i]!.release();
    };
    step();
    const { createdBuffers, peakBytes } = pool.report();
    for (let i = 0; i < 5; i++) step();
    expect(pool.report()).toMatchObject({ createdBuffers, peakBytes, liveBytes: 0 });
  });

  it("find room where there is none for an arena of small ones", () => {
    const { pool } = new Blocks();
    const large = pool.take(3584 * MIB, "large");
    const rest: Block[] = [];
    for (const bytes of [256 * MIB, 128 * MIB, 64 * MIB, 32 * MIB, 16 * MIB, 4 * MIB])
      rest.push(pool.take(bytes, "rest"));
    const small: Block[] = [];
    expect(() => {
      for (;;) small.push(pool.take(200_000, "small"));
    }).toThrow("no room");
    expect(pool.report().liveBytes).toBeGreaterThan(LIMIT - FIRST - MIB);
    for (const block of [large, ...rest, ...small]) block.release();
    expect(pool.take(3584 * MIB, "all").place).toBe(FIRST);
  });
});

describe("free stretches", () => {
  it("are those of a map of bytes", () => {
    const random = seeded(5);
    const below = (n: number): number => Math.floor(n * random());
    const size = 200;
    const free = new Array<boolean>(size).fill(false);
    const extents = new Extents();
    const stretches = (): [number, number][] => {
      const found: [number, number][] = [];
      for (let i = 0; i < size; i++) {
        if (!free[i]) continue;
        if (free[i - 1]) found.at(-1)![1]++;
        else found.push([i, 1]);
      }
      return found;
    };
    for (let turn = 0; turn < 20_000; turn++) {
      const [start, count] = [below(size), 1 + below(12)];
      const range = [start, Math.min(size, start + count)] as const;
      const part = free.slice(...range);
      const kind = below(turn % 400 < 200 ? 4 : 8);
      if (kind < 2 && !part.includes(true)) {
        extents.add(start, part.length);
        free.fill(true, ...range);
      } else if (kind === 2) {
        expect(extents.takeAt(start, part.length)).toBe(!part.includes(false));
        if (!part.includes(false)) free.fill(false, ...range);
      } else if (kind === 3 && below(10) === 0) {
        const last = stretches().at(-1);
        const end = last && last[0] + last[1] === size ? last[0] : size;
        expect(extents.takeEnd(size)).toBe(end);
        free.fill(false, end);
      } else {
        const best = stretches().reduce<[number, number] | undefined>(
          (a, b) => (b[1] < count || (a && a[1] <= b[1]) ? a : b),
          undefined,
        );
        expect(extents.take(count)).toBe(best?.[0]);
        if (best) free.fill(false, best[0], best[0] + count);
      }
      expect(extents.bytes).toBe(free.filter(Boolean).length);
    }
  });
});
