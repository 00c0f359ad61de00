import { describe, expect, it } from "vitest";
import { matchingRows, retrieval } from "../src/index.ts";

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

describe("matchingRows", () => {
  it("marks equal labels", () => {
    expect([...matchingRows([4, 7, 4])]).toEqual([1, 0, 1, 0, 1, 0, 1, 0, 1]);
  });
});
