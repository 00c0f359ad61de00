import { describe, expect, test } from "vitest";
import { dot, principalComponents, symmetricEigen } from "../../src/visualize/pca.ts";

describe("symmetricEigen", () => {
  test("of [[2, 1], [1, 2]]: 3 along (1, 1), 1 along (1, -1)", () => {
    const { values, vectors } = symmetricEigen([
      [2, 1],
      [1, 2],
    ]);
    expect(values[0]).toBeCloseTo(3, 12);
    expect(values[1]).toBeCloseTo(1, 12);
    expect(Math.abs(dot(vectors[0]!, [1, 1]))).toBeCloseTo(Math.SQRT2, 12);
    expect(Math.abs(dot(vectors[1]!, [1, -1]))).toBeCloseTo(Math.SQRT2, 12);
  });

  test("of a matrix with the eigenvalues 4, 2, 1, and of a larger one: A v = λ v, and the vectors are orthonormal", () => {
    expect(
      symmetricEigen([
        [2, 1, 0],
        [1, 3, 1],
        [0, 1, 2],
      ]).values.map((x) => Number(x.toFixed(10))),
    ).toEqual([4, 2, 1]);
    const n = 20;
    const matrix = Array.from({ length: n }, (_, i) =>
      Array.from({ length: n }, (_, j) => Math.sin(i * j + i + j) + (i === j ? i : 0)),
    );
    const { values, vectors } = symmetricEigen(matrix);
    for (const [i, value] of values.entries()) {
      for (const [j, row] of matrix.entries()) expect(dot(row, vectors[i]!)).toBeCloseTo(value * vectors[i]![j]!, 9);
      for (const [j, other] of vectors.entries()) expect(dot(other, vectors[i]!)).toBeCloseTo(i === j ? 1 : 0, 9);
      if (i > 0) expect(value).toBeLessThanOrEqual(values[i - 1]!);
    }
  });
});

describe("symmetricEigen of large matrices", () => {
  test("of the second difference of 200 points: 2 - 2 cos(kπ / 201)", () => {
    const n = 200;
    const matrix = Array.from({ length: n }, (_, i) =>
      Array.from({ length: n }, (_, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)),
    );
    // The same behind a reflection, so that it is full: the eigenvalues stay.
    const mirror = Array.from({ length: n }, (_, i) => Math.sin(i + 1));
    const square = dot(mirror, mirror);
    const columns = matrix.map((row) => {
      const along = (2 * dot(row, mirror)) / square;
      return row.map((value, j) => value - along * mirror[j]!);
    });
    const across = Array.from(
      { length: n },
      (_, j) => (2 * columns.reduce((sum, row, i) => sum + row[j]! * mirror[i]!, 0)) / square,
    );
    const full = columns.map((row, i) => row.map((value, j) => value - across[j]! * mirror[i]!));
    const { values, vectors } = symmetricEigen(full);
    for (const [i, value] of values.entries()) {
      expect(value).toBeCloseTo(2 - 2 * Math.cos(((n - i) * Math.PI) / (n + 1)), 10);
    }
    for (const i of [0, 1, 100, 199]) {
      expect(dot(full[7]!, vectors[i]!)).toBeCloseTo(values[i]! * vectors[i]![7]!, 10);
    }
  });

  test("of nothing, of one value, of zeros, of equal eigenvalues", () => {
    expect(symmetricEigen([])).toEqual({ values: [], vectors: [] });
    expect(symmetricEigen([[3]]).values).toEqual([3]);
    const zeros = Array.from({ length: 5 }, () => [0, 0, 0, 0, 0]);
    expect(symmetricEigen(zeros).values).toEqual([0, 0, 0, 0, 0]);
    // All ones: 5 along (1, 1, 1, 1, 1), nothing along what is orthogonal to it.
    const { values, vectors } = symmetricEigen(zeros.map((row) => row.map(() => 1)));
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(i === 0 ? 5 : 0, 12);
    expect(Math.abs(dot(vectors[0]!, [1, 1, 1, 1, 1]))).toBeCloseTo(Math.sqrt(5), 12);
  });
});

describe("principalComponents", () => {
  // Around (1, 2, 3): 2 either way along (3, 4, 0) / 5, 1 either way along (0, 0, 1).
  const points = [
    [1 + 1.2, 2 + 1.6, 3],
    [1 - 1.2, 2 - 1.6, 3],
    [1, 2, 4],
    [1, 2, 2],
  ];

  test("of four points, computed by hand; what does not vary is no component", () => {
    const { directions, variance, share, scores } = principalComponents(points, 3);
    expect(directions.length).toBe(2);
    for (const [i, x] of [0.6, 0.8, 0].entries()) expect(directions[0]![i]).toBeCloseTo(x, 10);
    for (const [i, x] of [0, 0, 1].entries()) expect(directions[1]![i]).toBeCloseTo(x, 10);
    expect(variance[0]).toBeCloseTo(8 / 3, 10);
    expect(variance[1]).toBeCloseTo(2 / 3, 10);
    expect(share[0]).toBeCloseTo(0.8, 10);
    expect(scores[0]![0]).toBeCloseTo(2, 10);
    expect(scores[3]![1]).toBeCloseTo(-1, 10);
  });

  test("fewer points than dimensions give the same as more", () => {
    const two = points.map(([x, y]) => [x!, y!]);
    const [narrow, wide] = [two, two.map((point) => [...point, 0, 0, 0])].map((set) => principalComponents(set, 2));
    expect(wide!.variance[0]).toBeCloseTo(narrow!.variance[0]!, 10);
    for (const i of [0, 1]) expect(wide!.directions[0]![i]).toBeCloseTo(narrow!.directions[0]![i]!, 10);
  });
});
