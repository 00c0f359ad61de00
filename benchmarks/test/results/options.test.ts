import { expect, it } from "vitest";
import { parseOptions } from "../../src/results/options.ts";

it("measures everything of the models in the box by default", () => {
  const options = parseOptions([]);
  expect(options).toMatchObject({ folder: "../shared/data", srclip: "srclip", side: 288, out: "docs/results.md" });
  expect(options.models).toContain("realdat-x2");
  expect(options.parts).toContain("set5");
  expect(options.parts).toContain("time");
  expect(options.limit).toBe(Number.POSITIVE_INFINITY);
  expect(options.peers).toBeUndefined();
});

it("takes several models, and some of the sets", () => {
  const options = parseOptions([
    "sets",
    "--model",
    "a",
    "--model",
    "b",
    "--sets",
    "set5,chart",
    "--limit",
    "2",
    "--peers-folder",
    "none",
  ]);
  expect(options).toMatchObject({
    folder: "sets",
    models: ["a", "b"],
    parts: ["set5", "chart"],
    limit: 2,
    peers: null,
  });
});

it("says what it does not understand", () => {
  expect(() => parseOptions(["--sets", "set6"])).toThrow('--sets: "set6" is none of set5');
  expect(() => parseOptions(["--limit", "0"])).toThrow("--limit takes a whole number from 1 on, got 0");
  expect(() => parseOptions(["a", "b"])).toThrow("one folder of test sets is taken, got a and b");
  expect(() => parseOptions(["--what"])).toThrow("--what");
});
