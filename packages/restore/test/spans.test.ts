import { describe, expect, test } from "vitest";
import { blendedCut, type Cut, referenceCut, sharesOf } from "../src/spans.ts";

const LENGTHS = [1, 2, 15, 16, 17, 63, 64, 65, 127, 200, 201, 333, 1000];
const TILES = [16, 48, 64, 200, 512];

function sums(cut: Cut, scale: number, length: number): Float64Array {
  const total = new Float64Array(length * scale);
  for (const i of cut.spans.keys()) {
    const { first, shares } = sharesOf(cut, i, scale, length);
    for (const [k, share] of shares.entries()) if (first + k < total.length) total[first + k]! += share;
  }
  return total;
}

describe("cutting an axis", () => {
  const cases = LENGTHS.flatMap((length) =>
    TILES.flatMap((tile) =>
      [0, 8, 16].flatMap((overlap) => [1, 8, 32].map((window) => ({ length, tile, overlap, window }))),
    ),
  );

  test.each([1, 2, 3])("the shares of every pixel add up to 1, at x%i", (scale) => {
    for (const { length, tile, overlap, window } of cases) {
      for (const cut of [blendedCut(length, tile, overlap, window), referenceCut(length, tile, overlap)]) {
        const found = sums(cut, scale, length);
        expect(Math.max(...found.map((sum) => Math.abs(sum - 1)))).toBeLessThan(1e-6);
      }
    }
  });

  test("blended tiles begin at windows, stay inside of the image and see what they have a share of", () => {
    for (const { length, tile, overlap, window } of cases) {
      const cut = blendedCut(length, tile, overlap, window);
      expect(cut.spans[0]!.from).toBe(0);
      expect(cut.spans.at(-1)!.to).toBe(length);
      for (const [i, { begin, end, from, to }] of cut.spans.entries()) {
        expect([from % window, begin % window]).toEqual([0, 0]);
        expect(to).toBeLessThanOrEqual(length);
        expect(end - begin).toBeLessThanOrEqual(Math.max(tile, window));
        const { first, shares } = sharesOf(cut, i, 1, length);
        expect(first).toBeGreaterThanOrEqual(from);
        expect(first + shares.length).toBeLessThanOrEqual(to);
      }
    }
  });

  test("shares rise smoothly: nowhere by more than a raised cosine does", () => {
    const cut = blendedCut(300, 100, 16, 4);
    for (const i of cut.spans.keys()) {
      const { shares } = sharesOf(cut, i, 2, 300);
      for (let k = 1; k < shares.length; k++)
        expect(Math.abs(shares[k]! - shares[k - 1]!)).toBeLessThanOrEqual(Math.PI / 4 / 16 + 1e-6);
    }
  });
});
