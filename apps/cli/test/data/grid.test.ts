import { expect, test } from "vitest";
import { gridOf } from "../../src/data/grid.ts";

/** The left and top edges, as BasicSR's `np.arange(0, n - size + 1, step)` with what it appends. */
function edges(width: number, height: number, size: number, step: number, threshold: number): [number[], number[]] {
  const grid = gridOf({ width, height }, { size, step, threshold });
  expect(grid.every((square) => square.width === size && square.height === size)).toBe(true);
  const [lefts, tops] = [grid.map(({ left }) => left), grid.map(({ top }) => top)];
  expect(grid).toHaveLength(new Set(lefts).size * new Set(tops).size);
  return [[...new Set(lefts)], [...new Set(tops)]];
}

test("squares overlap by what the step leaves, and the last ones end at the border", () => {
  // DIV2K's first image, 2040 x 1404, at 480 and 240: 8 x 5 squares.
  expect(edges(2040, 1404, 480, 240, 0)).toEqual([
    [0, 240, 480, 720, 960, 1200, 1440, 1560],
    [0, 240, 480, 720, 924],
  ]);
  expect(edges(510, 351, 120, 60, 0)).toEqual([
    [0, 60, 120, 180, 240, 300, 360, 390],
    [0, 60, 120, 180, 231],
  ]);
  expect(edges(12, 10, 4, 4, 0)).toEqual([
    [0, 4, 8],
    [0, 4, 6],
  ]);
  expect(edges(12, 10, 4, 4, 2)[1]).toEqual([0, 4]);
  expect(edges(12, 11, 4, 4, 2)[1]).toEqual([0, 4, 7]);
  expect(edges(4, 4, 4, 2, 0)).toEqual([[0], [0]]);
  expect(gridOf({ width: 3, height: 9 }, { size: 4, step: 2, threshold: 0 })).toEqual([]);
});

test("rows come first, and pairs have the same number of squares", () => {
  const large = gridOf({ width: 40, height: 32 }, { size: 16, step: 8, threshold: 0 });
  const small = gridOf({ width: 10, height: 8 }, { size: 4, step: 2, threshold: 0 });
  expect(large.map(({ left, top }) => [left / 4, top / 4])).toEqual(small.map(({ left, top }) => [left, top]));
  expect(large.slice(0, 5).map(({ top }) => top)).toEqual([0, 0, 0, 0, 8]);
});
