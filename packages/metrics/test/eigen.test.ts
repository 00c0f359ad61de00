import { expect, it } from "vitest";
import { symmetricEigen } from "../src/eigen.ts";

it.each([1, 2, 7, 36])("values and vectors make up a matrix of %d rows again", (size) => {
  const matrix = Float64Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    return Math.sin(i * j + 1) + Math.cos(i + j);
  });
  const { values, vectors } = symmetricEigen(matrix, size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const entry = values.reduce((sum, value, k) => sum + value * vectors[k]![i]! * vectors[k]![j]!, 0);
      expect(entry).toBeCloseTo(matrix[i * size + j]!, 12);
      const product = vectors[i]!.reduce((sum, value, k) => sum + value * vectors[j]![k]!, 0);
      expect(product).toBeCloseTo(i === j ? 1 : 0, 12);
    }
  }
});

it("a singular matrix has an eigenvalue of 0", () => {
  const { values } = symmetricEigen([2, 2, 2, 2], 2);
  expect([...values].sort()).toEqual([0, expect.closeTo(4, 14)]);
  expect([...symmetricEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
});
