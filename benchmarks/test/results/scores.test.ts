import type { Image, NiqeModel } from "@deplsr/metrics";
import { describe, expect, it } from "vitest";
import { meansOf, type Scores, scoresOf } from "../../src/results/scores.ts";

const NONE: Scores = { psnrY: null, psnrRgb: null, ssimY: null, niqe: null, gridExcess: null, gridLevels: null };
const NIQE: NiqeModel = { label: "none", mean: new Float64Array(36), covariance: new Float64Array(1296) };

function image(side: number, level: (x: number, y: number, c: number) => number): Image {
  const data = Uint8Array.from({ length: side * side * 3 }, (_, i) =>
    level(Math.floor(i / 3) % side, Math.floor(i / 3 / side), i % 3),
  );
  return { width: side, height: side, data };
}

describe("scoresOf", () => {
  it("compares luma and colours without the border", () => {
    const original = image(32, (x, y) => 40 + 3 * x + 2 * y);
    // 5 levels off in red everywhere, and all wrong in the outer two pixels, which do not count at x2.
    const inside = (x: number, y: number): boolean => Math.min(x, y) >= 2 && Math.max(x, y) < 30;
    const result = image(32, (x, y, c) => (inside(x, y) ? 40 + 3 * x + 2 * y + (c === 0 ? 5 : 0) : 0));
    const scores = scoresOf(result, original, { scale: 2, niqeModel: NIQE });
    expect(scores.psnrRgb).toBeCloseTo(10 * Math.log10(255 ** 2 / (25 / 3)), 9);
    // Red is 65.481 / 255 of luma in studio range.
    expect(scores.psnrY).toBeCloseTo(20 * Math.log10((255 * 255) / (5 * 65.481)), 3);
    expect(scores.ssimY).toBeGreaterThan(0.95);
    expect(scores.niqe).toBeNull();
    expect(scores.gridExcess).toBeNull();
  });

  it("has no errors where nobody knows the original", () => {
    const scores = scoresOf(
      image(32, (x) => x),
      null,
      { scale: 2, niqeModel: NIQE },
    );
    expect(scores).toEqual(NONE);
  });
});

describe("meansOf", () => {
  it("takes the images that every row has a number for", () => {
    const row = (...values: (number | null)[]): Scores[] => values.map((niqe) => ({ ...NONE, niqe, psnrY: 1 }));
    const [first, second] = meansOf([row(1, 2, 9), row(3, 5, null)]);
    expect(first).toEqual({ ...NONE, psnrY: 1, niqe: 1.5 });
    expect(second).toEqual({ ...NONE, psnrY: 1, niqe: 4 });
    expect(meansOf([row(1), row(null)])[0]!.niqe).toBeNull();
  });
});
