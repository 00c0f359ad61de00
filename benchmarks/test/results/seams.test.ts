import type { RasterImage } from "@deplsr/restore";
import { expect, it } from "vitest";
import { compareTiled, together } from "../../src/results/seams.ts";

/** A grey image of 16 bits of these levels of 8. */
function grey(side: number, level: (x: number, y: number) => number): RasterImage {
  const data = Uint16Array.from({ length: side * side * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return 257 * level(pixel % side, Math.floor(pixel / side));
  });
  return { width: side, height: side, data };
}

it("tells a step at a border from the same difference spread over the image", () => {
  const whole = grey(8, (x) => 10 * x);
  // Everything right of column 4 is 2 levels brighter.
  const tiled = grey(8, (x) => 10 * x + (x >= 4 ? 2 : 0));
  const found = compareTiled(whole, tiled, new Set([4]), 1);
  expect(found.largest).toBeCloseTo(2, 9);
  expect(found.mean).toBeCloseTo(1, 9);
  // Steps of the difference across borders: 2 along x, 0 along y, as many of each.
  expect(found.border).toBeCloseTo(1, 9);
  expect(found.elsewhere).toBe(0);
  expect(found.tiled).toBeCloseTo(6, 9);
  expect(found.whole).toBeCloseTo(5, 9);
});

it("compares a border with places between two pixels of the input alone", () => {
  const whole = grey(12, () => 10);
  // A pixel of the input is 2 x 2: the difference steps by 3 between two of them, and nowhere inside; at the border, 6, it steps by 1.
  const tiled = grey(12, (x) => 10 + [0, 3, 0, 1, 4, 1][Math.floor(x / 2)]!);
  const found = compareTiled(whole, tiled, new Set([6]), 2);
  expect([found.border, found.elsewhere].map((value) => 2 * value)).toEqual([1, 3]);
  const both = together([found, { ...found, largest: 9, border: 1.5 }]);
  expect([both.largest, both.border, both.elsewhere]).toEqual([9, 1, 1.5]);
});
