import { describe, expect, it } from "vitest";
import { axisLength, checkShapes } from "../src/index.ts";

const EXPECTED = [
  { name: "a.weight", shape: [4, 3] },
  { name: "a.bias", shape: [4] },
  { name: "b.table", shape: [2], role: "derived" },
  { name: "scale", shape: [], role: "parameter" },
];

/** The expected entries with some changed; null takes one away. */
function changed(entries: Readonly<Record<string, readonly number[] | null>>): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>(EXPECTED.map(({ name, shape }) => [name, shape]));
  for (const [name, shape] of Object.entries(entries)) {
    if (shape === null) shapes.delete(name);
    else shapes.set(name, shape);
  }
  return shapes;
}

describe("checkShapes", () => {
  it("accepts a state dict that fits, without what is not trained too", () => {
    expect(() => checkShapes("NET", changed({}), EXPECTED)).not.toThrow();
    expect(() => checkShapes("NET", changed({ "b.table": null }), EXPECTED)).not.toThrow();
  });

  it.each([
    [{ "a.bias": null }, "missing: a.bias [4]"],
    [{ scale: null, "a.bias": null, "a.weight": null }, "missing: a.weight [4, 3] and 2 more"],
    [{ extra: [1], other: [] }, "unexpected: extra [1] and 1 more"],
    [{ "a.weight": [3, 4] }, "of another shape: a.weight [3, 4] (expected [4, 3])"],
    [{ "b.table": [3] }, "of another shape: b.table [3] (expected [2])"],
    [{ scale: [1] }, "of another shape: scale [1] (expected [])"],
    [
      { "a.bias": [5], scale: null, extra: [] },
      "missing: scale []; unexpected: extra []; of another shape: a.bias [5] (expected [4])",
    ],
  ])("names the first of each difference: %j", (entries, problem) => {
    expect(() => checkShapes("NET", changed(entries), EXPECTED)).toThrow(
      new Error(`NET: the tensors do not fit together: ${problem}: give a whole, unchanged NET`),
    );
  });
});

describe("axisLength", () => {
  it("is the length of an axis", () => {
    expect(axisLength("NET", changed({}), "a.weight", 1)).toBe(3);
  });

  it.each([
    ["b.weight", "missing: b.weight"],
    ["a.bias", "of another shape: a.bias [4]"],
  ])("says that %s does not tell it", (name, problem) => {
    expect(() => axisLength("NET", changed({}), name, 1)).toThrow(
      new Error(`NET: the tensors do not fit together: ${problem}: give a whole, unchanged NET`),
    );
  });
});
