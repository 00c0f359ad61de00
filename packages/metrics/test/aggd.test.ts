import { describe, expect, it } from "vitest";
import { aggdShapes, fitAggd, gamma } from "../src/aggd.ts";

describe("gamma", () => {
  it.each([
    [0.1, 9.513507698668732],
    [0.5, Math.sqrt(Math.PI)],
    [1, 1],
    [5, 24],
    [10 / 3, 2.778158480437665],
    [15, 87_178_291_200],
  ])("of %d is %d", (x, expected) => {
    expect(Math.abs(gamma(x) / expected - 1)).toBeLessThan(2e-14);
  });
});

/** Samples at the centres of parts of equal probability of a Laplacian with the given scales on both sides. */
function laplacian(left: number, right: number, count: number): Float64Array {
  const share = left / (left + right);
  return Float64Array.from({ length: count }, (_, i) => {
    const p = (i + 0.5) / count;
    return p < share ? left * Math.log(p / share) : -right * Math.log((1 - p) / (1 - share));
  });
}

describe("fitAggd", () => {
  const shapes = aggdShapes();

  it.each([
    [1, 1],
    [0.5, 2],
  ])("finds the shape 1 and the scales %d and %d of a Laplacian", (left, right) => {
    const fit = fitAggd(laplacian(left, right, 200_000), shapes);
    expect(fit.alpha).toBeCloseTo(1, 2);
    expect(fit.left / left).toBeCloseTo(1, 2);
    expect(fit.right / right).toBeCloseTo(1, 2);
  });

  it("has ratios that rise with the shape", () => {
    expect(shapes.alphas).toHaveLength(9801);
    expect([shapes.alphas[0], shapes.alphas[9800]]).toEqual([0.2, 10]);
    expect(shapes.ratios.every((ratio, i) => i === 0 || ratio > shapes.ratios[i - 1]!)).toBe(true);
  });

  it("has no scale where a sign is missing", () => {
    expect(fitAggd(Float64Array.of(0, 0, 0), shapes)).toEqual({ alpha: 0.2, left: Number.NaN, right: Number.NaN });
    expect(fitAggd(Float64Array.of(0, 1, 2), shapes)).toMatchObject({ alpha: 0.2, left: Number.NaN });
  });
});
