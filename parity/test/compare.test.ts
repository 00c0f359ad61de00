import { readSafetensors, type StoredTensor, storedEntry, writeSafetensors } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { compareValues, largestMagnitude } from "../src/compare.ts";
import type { Rule } from "../src/tolerance.ts";

function stored(data: Float32Array | Int32Array, shape: readonly number[] = [data.length]): StoredTensor {
  return readSafetensors(writeSafetensors([["x", storedEntry(data, shape)]])).tensors.get("x")!;
}
const floats = (...values: number[]): StoredTensor => stored(Float32Array.from(values));
const integers = (...values: number[]): StoredTensor => stored(Int32Array.from(values));
const compare = (actual: readonly number[], expected: StoredTensor, rule: Rule, gradient = 0) =>
  compareValues({ shape: [actual.length], data: actual }, expected, rule, gradient);

describe("compareValues", () => {
  it("bounds by the largest stored value, a constant and the largest gradient", () => {
    const b = floats(1, -4, 0);
    expect(compare([1, -4, 0.04], b, { rel: 0.01 }).pass).toBe(true);
    expect(compare([1, -4, 0.05], b, { rel: 0.01 }).pass).toBe(false);
    expect(compare([1, -4, 0.05], b, { abs: 0.05 }).pass).toBe(true);
    expect(compare([1, -4, 0.05], b, { floor: 0.01 }, 5).pass).toBe(true);
    expect(compare([1, -4, 0.05], b, { floor: 0.01 }, 4).pass).toBe(false);
    expect(compare([1, -4, 0], b, { rel: 0 }).pass).toBe(true);
    expect(compare([1, -4, 1e-9], b, { rel: 0 }).pass).toBe(false);
  });

  it("compares 64-bit integers exactly", () => {
    const long = (...values: bigint[]): StoredTensor =>
      readSafetensors(writeSafetensors([["x", storedEntry(BigInt64Array.from(values), [values.length])]])).tensors.get(
        "x",
      )!;
    const same = (a: bigint, b: bigint): boolean =>
      compareValues({ shape: [1], data: BigInt64Array.of(a) }, long(b), { rel: 1 }, 0).pass;
    expect([same(2n ** 53n + 1n, 2n ** 53n + 1n), same(2n ** 53n + 1n, 2n ** 53n), same(-1n, -1n)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it("tells the largest errors", () => {
    const { absolute, relative, strain, problem } = compare([1.5, -4, 0], floats(1, -4, 0), { abs: 0.25 });
    expect([absolute, relative, strain]).toEqual([0.5, 0.125, 2]);
    expect(problem).toBe("1.5 at 0 instead of 1; 1 of 3 values differ too much");
    expect(compare([1], floats(0), { abs: 2 }).relative).toBe(0);
    // A gradient that is zero but for rounding: relative to the floor of 0.5 · 8 at rel 0.25.
    expect(compare([1], floats(0), { rel: 0.25, floor: 0.5 }, 8).relative).toBe(0.0625);
    expect(compare([1.5], floats(1), { rel: 0.25 }).relative).toBe(0.5);
  });

  it("lets a share of the values exceed the bound, by a step at most", () => {
    const b = floats(0, 0, 0, 0);
    const rule = { abs: 0.1, fraction: 0.25, step: 1 };
    expect(compare([1, 0, 0, 0.1], b, { ...rule, abs: 0.11 }).pass).toBe(true);
    expect(compare([1, 1, 0, 0], b, rule).pass).toBe(false);
    expect(compare([1.1, 0, 0, 0], b, rule).pass).toBe(false);
    expect(compare([9, 0, 0, 0], b, { fraction: 0.25 }).pass).toBe(true);
  });

  it("wants integers equal unless there is a level", () => {
    expect(compare([1, 2], integers(1, 2), { rel: 9 }).pass).toBe(true);
    expect(compare([1, 3], integers(1, 2), { rel: 9, abs: 9, fraction: 1 }).pass).toBe(false);
    expect(compare([1, 3], integers(1, 2), { level: 1, fraction: 0.5 }).pass).toBe(true);
    expect(compare([1, 4], integers(1, 2), { level: 1, fraction: 0.5 }).pass).toBe(false);
    expect(compare([2, 3], integers(1, 2), { level: 1, fraction: 0.5 }).pass).toBe(false);
    expect(compare([1, 3], integers(1, 2), { level: 1 }).pass).toBe(false);
  });

  it("wants finite values and equal shapes", () => {
    expect(compare([Number.NaN], floats(1), { abs: 9 }).problem).toBe("NaN at 0 instead of 1");
    expect(compare([Number.POSITIVE_INFINITY], floats(1), { abs: 9 }).pass).toBe(false);
    expect(compare([Number.POSITIVE_INFINITY], floats(Number.POSITIVE_INFINITY), {}).pass).toBe(true);
    expect(compare([1], floats(Number.POSITIVE_INFINITY), { abs: 9 }).pass).toBe(false);
    const b = stored(Float32Array.of(1, 2), [1, 2]);
    expect(compareValues({ shape: [2], data: [1, 2] }, b, {}, 0).problem).toBe("shape [2] instead of [1, 2]");
    expect(compareValues({ shape: [1, 2], data: [1] }, b, {}, 0).problem).toBe("1 values for 2");
  });
});

describe("largestMagnitude", () => {
  it("is the largest finite one", () => {
    expect(largestMagnitude([1, -3, Number.NEGATIVE_INFINITY, Number.NaN])).toBe(3);
    expect(largestMagnitude([])).toBe(0);
  });
});
