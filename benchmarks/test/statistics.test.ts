import { describe, expect, it } from "vitest";
import { chooseBatch, largestError, median, ratio, rotate, spread } from "../src/statistics.ts";

describe("median", () => {
  it("is the middle number, or the mean of the two in the middle", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 100])).toBe(3);
    expect(() => median([])).toThrow("median: no numbers");
  });
});

describe("spread", () => {
  it("is the farthest distance from the median, as a part of it", () => {
    expect(spread([10, 10, 10])).toBe(0);
    expect(spread([8, 10, 15])).toBe(0.5);
  });
});

describe("ratio", () => {
  it("is that of the fastest peer to ours", () => {
    expect(ratio(2, { a: 8, b: 6 })).toBe(3);
    expect(ratio(6, { a: 8, b: 3 })).toBe(0.5);
  });
  it("is nothing without peers or without ours", () => {
    expect(ratio(2, {})).toBeNull();
    expect(ratio(null, { a: 1 })).toBeNull();
  });
});

describe("chooseBatch", () => {
  it("fills a sample with runs and waits once", () => {
    expect(chooseBatch(2, 3, 200)).toEqual({ count: 100, repeats: 1 });
  });
  it("waits after every run where that is quicker", () => {
    expect(chooseBatch(4, 2, 200)).toEqual({ count: 1, repeats: 100 });
  });
  it("runs at least once, and lets no more than a thousand runs wait", () => {
    expect(chooseBatch(900, 950, 200)).toEqual({ count: 1, repeats: 1 });
    expect(chooseBatch(0.01, 0.1, 200)).toEqual({ count: 1000, repeats: 20 });
  });
});

describe("rotate", () => {
  it("starts each round with the next one", () => {
    expect([0, 1, 2, 3].map((round) => rotate(["a", "b", "c"], round).join(""))).toEqual(["abc", "bca", "cab", "abc"]);
    expect(rotate([], 3)).toEqual([]);
  });
});

describe("largestError", () => {
  it("is relative to the largest number expected", () => {
    expect(largestError([1, 2, 4.5], [1, 2, -4])).toBe(8.5 / 4);
    expect(largestError([1, 2], [1, 2])).toBe(0);
    expect(largestError([0, 0], [0, 0])).toBe(0);
  });
  it("is infinite for a NaN, an infinity, another length, and anything instead of zeros", () => {
    expect(largestError([1, Number.NaN], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(largestError([1, Number.POSITIVE_INFINITY], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(largestError([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(largestError([1e-9], [0])).toBe(Number.POSITIVE_INFINITY);
  });
});
