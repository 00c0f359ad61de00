import { describe, expect, it } from "vitest";
import { philox, Rng } from "../src/random.ts";

const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");

describe("philox", () => {
  // Known answers of philox4x32 with 10 rounds, from the authors' kat_vectors.
  it("agrees with the published vectors", () => {
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
    const ones = 0xffffffff;
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
    const pi = philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
    expect(hex(pi)).toBe("d16cfe09 94fdcceb 5001e420 24126ea1");
  });
});

/** Pearson's statistic of counts against equal expectations. */
function chiSquare(counts: readonly number[], draws: number): number {
  const expected = draws / counts.length;
  return counts.reduce((total, count) => total + (count - expected) ** 2 / expected, 0);
}

function count(cells: number, draws: number, draw: () => number): number[] {
  const counts = new Array<number>(cells).fill(0);
  for (let i = 0; i < draws; i++) counts[draw()]!++;
  return counts;
}

/** The correlation of two lists of numbers. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (x: readonly number[]): number => x.reduce((s, v) => s + v, 0) / x.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - ma) * (b[i]! - mb);
    aa += (a[i]! - ma) ** 2;
    bb += (b[i]! - mb) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

describe("Rng", () => {
  it("draws the words of its key in the order of the counters", () => {
    const rng = new Rng(0);
    const words = [...philox([0, 0, 0, 0], [0, 0]), ...philox([1, 0, 0, 0], [0, 0])];
    for (const word of words) expect(rng.uniform(24)).toBe((word >>> 8) * 2 ** -24);
  });

  it("makes the key of all 64 bits of the seed", () => {
    expect(new Rng(0x299f31d0a4093822n).take(1).key).toEqual([0xa4093822, 0x299f31d0]);
    expect(new Rng(-1).take(1).key).toEqual([0xffffffff, 0xffffffff]);
    expect(new Rng(2 ** 40 + 3).take(1).key).toEqual([3, 256]);
    expect(() => new Rng(0.5)).toThrow(
      "Rng: seed 0.5 is not a whole number of at most 2^53; use a bigint for larger ones",
    );
  });

  it("repeats itself for a seed, and for no other", () => {
    const draws = (seed: number): number[] => {
      const rng = new Rng(seed);
      return Array.from({ length: 20 }, () => rng.uniform());
    };
    expect(draws(7)).toEqual(draws(7));
    expect(draws(7)).not.toEqual(draws(8));
    expect(Math.abs(correlation(draws(7), draws(8)))).toBeLessThan(0.6);
  });

  it("draws uniformly from [0, 1)", () => {
    const rng = new Rng(1);
    const counts = count(100, 50_000, () => {
      const x = rng.uniform();
      expect(x >= 0 && x < 1).toBe(true);
      return Math.floor(x * 100);
    });
    // 99 degrees of freedom: 99.9 % of all seeds are below 149.
    expect(chiSquare(counts, 50_000)).toBeLessThan(149);
  });

  it("uses 53 bits, or 24", () => {
    const rng = new Rng(2);
    const fine = Array.from({ length: 64 }, () => rng.uniform() * 2 ** 53);
    expect(fine.every(Number.isInteger)).toBe(true);
    expect(fine.some((x) => x % 2 === 1)).toBe(true);
    expect(Array.from({ length: 64 }, () => rng.uniform(24) * 2 ** 24).every(Number.isInteger)).toBe(true);
  });

  it("draws whole numbers without favour", () => {
    const rng = new Rng(3);
    // 5 degrees of freedom: 99.9 % below 20.5.
    expect(
      chiSquare(
        count(6, 30_000, () => rng.integer(6)),
        30_000,
      ),
    ).toBeLessThan(20.5);
    // A remainder of 32 bits would fall into the lower half of 3 · 2^30 twice as often as into the upper quarters.
    const third = 2 ** 30;
    expect(
      chiSquare(
        count(3, 30_000, () => Math.floor(rng.integer(3 * third) / third)),
        30_000,
      ),
    ).toBeLessThan(13.8);
    const large = Array.from({ length: 200 }, () => rng.integer(2 ** 50));
    expect(large.every((x) => Number.isInteger(x) && x >= 0 && x < 2 ** 50)).toBe(true);
    expect(Math.max(...large)).toBeGreaterThan(2 ** 49);
    expect(rng.integer(1)).toBe(0);
    expect(() => rng.integer(0)).toThrow("Rng.integer: count 0 is not a whole number from 1 to 2^53");
    expect(() => rng.integer(2.5)).toThrow("count 2.5");
  });

  it("draws from the standard normal distribution", () => {
    const rng = new Rng(4);
    const n = 40_000;
    const draws = Array.from({ length: n }, () => rng.normal());
    const moment = (k: number): number => draws.reduce((total, x) => total + x ** k, 0) / n;
    // Five standard deviations of each moment's estimate: variances 1, 2, 15 and 96.
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
  });

  it("forks into streams that depend on the seed and the stream alone", () => {
    const parent = new Rng(5);
    const before = parent.fork("noise").take(1).key;
    parent.uniform();
    expect(parent.fork("noise").take(1).key).toEqual(before);
    const streams = [0, 1, 2, 2 ** 40, "", "0", "1", "noise", "noise\0", "noise of another, longer name"];
    const keys = [parent, new Rng(6)].flatMap((rng) => streams.map((stream) => rng.fork(stream).take(1).key.join()));
    expect(new Set(keys).size).toBe(2 * streams.length);
    expect(new Set(streams.map((stream) => parent.fork(0).fork(stream).take(1).key.join())).size).toBe(streams.length);
    const draws = [parent.fork(0), parent.fork(1)].map((rng) => Array.from({ length: 4000 }, () => rng.uniform()));
    expect(Math.abs(correlation(draws[0]!, draws[1]!))).toBeLessThan(5 / Math.sqrt(4000));
    expect(() => parent.fork(-1)).toThrow("Rng.fork: stream -1 is not a whole number of at least 0");
  });

  it("goes on from a saved state, in the middle of a counter too", () => {
    const rng = new Rng(8);
    rng.uniform(24);
    rng.take(5);
    const saved = JSON.parse(JSON.stringify(rng.state()));
    const copy = Rng.fromState(saved);
    for (let i = 0; i < 10; i++) expect(copy.uniform()).toBe(rng.uniform());
    expect(copy.take(1)).toEqual(rng.take(1));
    expect(() => Rng.fromState({ key: [1, -1], counter: 0, words: [] })).toThrow("is not a generator's state");
  });

  it("reserves each counter once", () => {
    const rng = new Rng(9);
    expect(rng.take(10).counter).toBe(0);
    expect(rng.take(0).counter).toBe(10);
    rng.uniform();
    expect(rng.take(2 ** 33).counter).toBe(11);
    expect(rng.take(1).counter).toBe(2 ** 33 + 11);
    expect(() => rng.take(-1)).toThrow("Rng.take: -1 counters");
    expect(() => rng.take(Number.MAX_SAFE_INTEGER)).toThrow("Rng.take");
  });
});
