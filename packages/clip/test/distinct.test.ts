import { describe, expect, it } from "vitest";
import { distinctTexts } from "../src/index.ts";

describe("distinctTexts", () => {
  it("keeps each row once, in order, without the common padding", () => {
    const rows = Int32Array.of(9, 1, 10, 0, 0, 9, 1, 2, 10, 0, 9, 1, 10, 0, 0, 9, 10, 0, 0, 0);
    const { ids, rows: count, length, index } = distinctTexts(rows, 5);
    expect({ count, length, index: [...index] }).toEqual({ count: 3, length: 4, index: [0, 1, 0, 2] });
    expect([...ids]).toEqual([9, 1, 10, 0, 9, 1, 2, 10, 9, 10, 0, 0]);
  });

  it("keeps full rows full", () => {
    expect(distinctTexts(Int32Array.of(9, 1, 10), 3).length).toBe(3);
  });

  it("refuses ids that are no rows", () => {
    expect(() => distinctTexts(new Int32Array(7), 5)).toThrow("distinctTexts: 7 ids are no rows of 5");
  });
});
