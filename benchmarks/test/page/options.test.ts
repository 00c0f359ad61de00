import { expect, it } from "vitest";
import { parseOptions } from "../../src/page/options.ts";

it("measures everything of one photo by default", () => {
  const options = parseOptions([]);
  expect(options.parts).toEqual(["visit", "compare", "gpu", "memory"]);
  expect(options.photo).toMatch(/\.png$/);
  expect(options.peers).toBeUndefined();
});

it("takes a photo, some of the parts, and no peers", () => {
  const options = parseOptions(["a.jpg", "--parts", "gpu,visit", "--peers-folder", "none"]);
  expect(options).toMatchObject({ photo: "a.jpg", parts: ["gpu", "visit"], peers: null });
});

it("says what it does not understand", () => {
  expect(() => parseOptions(["--parts", "speed"])).toThrow('--parts: "speed" is none of visit, compare, gpu, memory');
  expect(() => parseOptions(["a", "b"])).toThrow("one photo is taken, got a and b");
  expect(() => parseOptions(["--part", "gpu"])).toThrow("--part");
});
