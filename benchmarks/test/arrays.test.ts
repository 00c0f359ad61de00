import { describe, expect, it } from "vitest";
import { inverse, permute, uniform } from "../src/arrays.ts";

describe("uniform", () => {
  it("fills [−1, 1) evenly, the same for the same seed", () => {
    const values = uniform(20_000, 3);
    expect(uniform(20_000, 3)).toEqual(values);
    expect(uniform(20_000, 4)).not.toEqual(values);
    expect(values.every((value) => value >= -1 && value < 1)).toBe(true);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(square - 1 / 3)).toBeLessThan(0.02);
  });
});

describe("permute", () => {
  it("moves axes, and back with the inverse order", () => {
    const x = Float32Array.from({ length: 24 }, (_, i) => i);
    const y = permute(x, [2, 3, 4], [1, 2, 0]);
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 3; j++) {
        for (let k = 0; k < 4; k++) expect(y[(j * 4 + k) * 2 + i]).toBe(x[(i * 3 + j) * 4 + k]);
      }
    }
    expect(permute(y, [3, 4, 2], inverse([1, 2, 0]))).toEqual(x);
  });
});
