import { describe, expect, it } from "vitest";
import { planTiles } from "../src/tiling.ts";

describe("planTiles", () => {
  it("cuts as the reference does", () => {
    const shape = (size: readonly [number, number]): unknown => {
      const { padded, rows } = planTiles(size, { scale: 1, overlap: 0 });
      const { top, bottom, left, right } = rows[0]![0]!.input;
      return { padded, tiles: [rows.length, rows[0]!.length], side: [bottom - top, right - left] };
    };
    expect(shape([339, 510])).toEqual({ padded: [340, 510], tiles: [2, 3], side: [170, 170] });
    expect(shape([199, 401])).toEqual({ padded: [199, 402], tiles: [1, 3], side: [199, 134] });
    expect(shape([200, 200])).toEqual({ padded: [200, 200], tiles: [2, 2], side: [100, 100] });
    expect(shape([64, 64])).toEqual({ padded: [64, 64], tiles: [1, 1], side: [64, 64] });
  });

  it("adds surroundings on inner sides only and leaves them out of the result", () => {
    const { rows } = planTiles([339, 510], { scale: 4 });
    expect(rows[0]![1]).toEqual({
      input: { top: 0, bottom: 186, left: 154, right: 356 },
      used: { top: 0, bottom: 680, left: 64, right: 744 },
      output: { top: 0, bottom: 680, left: 680, right: 1360 },
    });
    expect(rows[1]![2]!.input).toEqual({ top: 154, bottom: 340, left: 324, right: 510 });
  });

  it("covers the padded image exactly once, also with tiles smaller than their surroundings", () => {
    const { padded, rows } = planTiles([23, 31], { scale: 2, tile: 5, overlap: 9 });
    const covered = new Uint8Array(padded[0] * 2 * padded[1] * 2);
    for (const { input, used, output } of rows.flat()) {
      expect([input.top, input.left].every((from) => from >= 0)).toBe(true);
      expect(output.bottom - output.top).toBe(used.bottom - used.top);
      expect(2 * input.left + used.left).toBe(output.left);
      for (let y = output.top; y < output.bottom; y++) {
        for (let x = output.left; x < output.right; x++) covered[y * padded[1] * 2 + x]! += 1;
      }
    }
    expect(covered.every((count) => count === 1)).toBe(true);
  });

  it("refuses tiles of nothing", () => {
    expect(() => planTiles([8, 8], { scale: 2, tile: 0 })).toThrow("planTiles: tile 0 must be a whole number above 0");
    expect(() => planTiles([8, 8], { scale: 2, overlap: -1 })).toThrow("planTiles: overlap -1");
  });
});
