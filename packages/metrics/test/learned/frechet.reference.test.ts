import { describe, expect, it } from "vitest";
import { type FeatureSet, featureStatistics, frechetDistance } from "../../src/index.ts";
import { symmetricEigenvalues } from "../../src/learned/eigenvalues.ts";
import { golden } from "./golden.ts";

const file = golden("frechet");

function features(name: string, count: number): FeatureSet {
  const data = file.values(name);
  return { count, dims: data.length / count, data };
}

/** Number of images in both sets of every case; in the last two there are fewer than features. */
const CASES = [
  [50, 60],
  [200, 150],
  [12, 10],
  [5, 3],
] as const;

describe("frechetDistance", () => {
  it.each(CASES)("of %d and %d images is the reference's", (n1, n2) => {
    const name = `case${CASES.findIndex(([n]) => n === n1)}`;
    const [a, b] = [features(`${name}.features1`, n1), features(`${name}.features2`, n2)];
    const found = frechetDistance(a, b);
    const traces = file.values(`${name}.trace1`)[0]! + file.values(`${name}.trace2`)[0]!;
    const expected = {
      distance: "fid",
      meanTerm: "mean_term",
      trace1: "trace1",
      trace2: "trace2",
      traceRoot: "trace_sqrt",
    };
    for (const [term, stored] of Object.entries(expected)) {
      const error = found[term as keyof typeof found] - file.values(`${name}.${stored}`)[0]!;
      expect(Math.abs(error), term).toBeLessThan(1e-6 * traces);
    }
    expect(frechetDistance(b, a).distance).toBeCloseTo(found.distance, 8);
    const { mean, covariance } = featureStatistics(a);
    file.values(`${name}.mean1`).forEach((value, i) => void expect(mean[i]).toBeCloseTo(value, 5));
    file.values(`${name}.cov1`).forEach((value, i) => void expect(covariance[i]).toBeCloseTo(value, 4));
  });

  it("is nothing between equal sets, also where features never change", () => {
    const a = features("case0.features1", 50);
    expect(Math.abs(frechetDistance(a, a).distance)).toBeLessThan(1e-6);
    const dead = { ...a, data: Array.from(a.data, (value, i) => (i % a.dims < 2 ? 1 : value)) };
    expect(Math.abs(frechetDistance(dead, dead).distance)).toBeLessThan(1e-6);
  });

  it("says what it cannot compare", () => {
    const one = { count: 1, dims: 2, data: [1, 2] };
    expect(() => frechetDistance(one, one)).toThrow("a set of 1 images has no covariance: at least two are needed");
    expect(() => frechetDistance(one, { count: 2, dims: 3, data: new Float64Array(6) })).toThrow(
      "frechetDistance: 2 features an image beside 3",
    );
  });
});

describe("symmetricEigenvalues", () => {
  it("finds those of the second difference, 2 − 2 cos(kπ / (n + 1))", () => {
    const n = 40;
    const matrix = Float64Array.from({ length: n * n }, (_, i) => {
      const apart = Math.abs(Math.floor(i / n) - (i % n));
      return apart === 0 ? 2 : apart === 1 ? -1 : 0;
    });
    const found = symmetricEigenvalues(matrix, n).sort();
    found.forEach((value, k) => void expect(value).toBeCloseTo(2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)), 12));
  });

  it("finds repeated ones of a matrix without zeros: I + 11ᵀ", () => {
    const n = 17;
    const matrix = Float64Array.from({ length: n * n }, (_, i) => (Math.floor(i / n) === i % n ? 2 : 1));
    const found = symmetricEigenvalues(matrix, n).sort();
    found.forEach((value, k) => void expect(value).toBeCloseTo(k === n - 1 ? n + 1 : 1, 12));
  });

  it("takes the smallest sizes", () => {
    expect([...symmetricEigenvalues(new Float64Array(), 0)]).toEqual([]);
    expect([...symmetricEigenvalues(Float64Array.of(3), 1)]).toEqual([3]);
    expect([...symmetricEigenvalues(Float64Array.of(1, 0, 0, 5), 2)].sort()).toEqual([1, 5]);
  });
});
