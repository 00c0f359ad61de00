import { describe, expect, it } from "vitest";
import { matchingRows, retrieval } from "../src/index.ts";

describe("retrieval", () => {
  it("ranks the partner of each row", () => {
    const result = retrieval([5, 1, 2, 9, 3, 4, 0, 0, 7], 3);
    expect(result).toEqual({ meanRank: 5 / 3, medianRank: 1, recallAt1: 2 / 3, recallAt5: 1, recallAt10: 1 });
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
