import { Rng } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { matchingRows, retrieval, retrievalOfFeatures } from "../src/index.ts";

const device = await testDevice();

describe("retrieval", () => {
  it("ranks the partner of each row", () => {
    const result = retrieval([5, 1, 2, 9, 3, 4, 0, 0, 7], 3);
    expect(result).toEqual({ meanRank: 5 / 3, medianRank: 1, recallAt1: 2 / 3, recallAt5: 1, recallAt10: 1 });
  });

  it("counts equal similarities by chance", () => {
    const collapsed = retrieval(new Float32Array(100).fill(1), 10);
    expect(collapsed.recallAt1).toBeCloseTo(0.1, 12);
    expect(collapsed.recallAt5).toBeCloseTo(0.5, 12);
    expect(collapsed).toMatchObject({ meanRank: 5.5, medianRank: 5.5, recallAt10: 1 });
    expect(retrieval([1, 2, 1, 0, 3, 3, 9, 9, 9], 3)).toEqual({
      meanRank: (2.5 + 1.5 + 2) / 3,
      medianRank: 2,
      recallAt1: (0 + 1 / 2 + 1 / 3) / 3,
      recallAt5: 1,
      recallAt10: 1,
    });
  });

  it("refuses what is not a number", () => {
    expect(() => retrieval([1, 2, Number.NaN, 3], 2)).toThrow("retrieval: the logit of row 1 and column 0 is NaN");
    expect(retrieval([Number.POSITIVE_INFINITY, 2, 1, 3], 2).recallAt1).toBe(1);
  });

  it("refuses logits that are not square", () => {
    expect(() => retrieval([1, 2], 2)).toThrow("retrieval: 2 logits are not 2 x 2");
  });
});

describe("retrievalOfFeatures", () => {
  it("is that of all similarities, in blocks of rows of any height", async () => {
    const [n, e] = [23, 5];
    const rng = new Rng(4);
    const values = (): number[] => Array.from({ length: n * e }, () => Math.round(8 * rng.uniform()) / 8);
    const [a, b] = [values(), values()];
    const products = Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return Array.from({ length: e }, (_, k) => a[i * e + k]! * b[j * e + k]!).reduce((sum, x) => sum + x, 0);
    });
    // Eighths: the products are exact, and some are equal.
    const right = retrieval(products, n);
    expect(right.recallAt1).toBeGreaterThan(0);
    const [rows, columns] = [device.tensor(a, [n, e]), device.tensor(b, [n, e])];
    for (const atOnce of [1, 4 * n + 3, n * n, undefined]) {
      expect(await retrievalOfFeatures(rows, columns, atOnce)).toEqual(right);
    }
  });

  it("leaves nothing on the device, and refuses what is no pair of features", async () => {
    const rows = device.ones([3, 4]);
    const before = device.memory().liveBytes;
    expect((await retrievalOfFeatures(rows, rows)).meanRank).toBe(2);
    expect(device.memory().liveBytes).toBe(before);
    await expect(retrievalOfFeatures(rows, device.ones([2, 4]))).rejects.toThrow(
      "retrievalOfFeatures: rows [3, 4] and columns [2, 4] must be (n, e)",
    );
    await expect(retrievalOfFeatures(device.full([2, 1], Number.NaN), device.ones([2, 1]))).rejects.toThrow("is NaN");
  });
});

describe("matchingRows", () => {
  it("marks equal labels", () => {
    expect([...matchingRows([4, 7, 4])]).toEqual([1, 0, 1, 0, 1, 0, 1, 0, 1]);
  });
});
