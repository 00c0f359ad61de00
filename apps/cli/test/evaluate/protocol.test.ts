import { expect, test } from "vitest";
import {
  bestConstant,
  nearestPrompt,
  ORIGINAL_STYLE,
  shortLevel,
  styledKinds,
  TRAINING_STYLE,
  templateOf,
} from "../../src/evaluate/protocol.ts";

test("prompts are worded as the original's or as the data set's", () => {
  const original = styledKinds(ORIGINAL_STYLE).map((kind) => kind.prompts);
  expect(original[1]).toEqual([
    "gaussian noise with sigma:0",
    "gaussian noise with sigma:15",
    "gaussian noise with sigma:30",
  ]);
  expect(templateOf(ORIGINAL_STYLE)(original[0]![1]!)).toBe("A photo with blur with sigma:1.0");
  const training = styledKinds(TRAINING_STYLE).map((kind) => kind.prompts);
  expect(training[0]).toEqual(original[0]);
  expect(training[1]).toEqual([
    "gaussian noise with sigma:0",
    "gaussian noise with sigma:15.0",
    "gaussian noise with sigma:30.0",
  ]);
  expect(training[3]!.at(-1)).toBe("jpeg with quality factor:90.0");
  expect(training[4]).toEqual(original[4]);
  expect(templateOf(TRAINING_STYLE)("x")).toBe("x");
  expect(() => templateOf({ template: "A photo", levels: "training" })).toThrow("has no {prompt} in it: add it");
});

test("the best constant answer is the commonest one", () => {
  const [blur] = styledKinds(ORIGINAL_STYLE);
  const labels = ["0.0", "0.4", "0.6", "1.4", "1.0", "2.0"].map((sigma) => `blur with sigma:${sigma}`);
  expect(bestConstant(blur!, labels)).toEqual({ prompt: "blur with sigma:1.0", share: 0.5 });
  expect(() => bestConstant(blur!, [])).toThrow("bestConstant: blur: there are no labels");
});

test("a text's level is its number, or whether there is any; the nearest prompt is that of the least difference", () => {
  const [blur, , , jpeg, ringing] = styledKinds(ORIGINAL_STYLE);
  expect(["blur with sigma:1.0", "jpeg with quality factor: 55 ", ...ringing!.prompts].map(shortLevel)).toEqual([
    "1.0",
    "55",
    "no",
    "yes",
  ]);
  expect(["0.0", "0.5", "0.6", "2.9"].map((sigma) => nearestPrompt(blur!, `blur with sigma:${sigma}`))).toEqual([
    0, 0, 1, 3,
  ]);
  expect(["12", "61", "95"].map((quality) => nearestPrompt(jpeg!, `jpeg with quality factor:${quality}`))).toEqual([
    0, 2, 3,
  ]);
  expect(nearestPrompt(ringing!, "ringing and overshoot artifacts")).toBe(1);
  expect(() => nearestPrompt(ringing!, "ringing")).toThrow(
    '"ringing" is neither "no ringing and overshoot artifacts" nor',
  );
  expect(() => nearestPrompt(blur!, "sharp")).toThrow('"sharp" does not end in a number after a colon');
});
