import { expect, test } from "vitest";
import { gaussianLine, gaussianSquare } from "../src/gaussian-window.ts";

test("the windows of SSIM and NIQE have the published weights in their centres", () => {
  expect(gaussianLine(11, 1.5)[5]! ** 2).toBeCloseTo(0.0707622378, 9);
  expect(gaussianSquare(11, 1.5)[60]!).toBeCloseTo(0.0707622378, 9);
  expect(gaussianSquare(7, 7 / 6)[24]!).toBeCloseTo(0.11739635539, 9);
});

test("they are symmetric and sum to 1", () => {
  for (const window of [gaussianLine(11, 1.5), gaussianSquare(7, 7 / 6)]) {
    expect(window.reduce((sum, value) => sum + value)).toBeCloseTo(1, 14);
    expect([...window].reverse()).toEqual([...window]);
  }
});
