import { DEGRADATION_KINDS } from "@deplsr/srclip";
import { describe, expect, test } from "vitest";
import { answersOf, confusionOf } from "../../src/evaluate/answers.ts";

const [blur, gaussian, , , ringing] = DEGRADATION_KINDS;

/** Seven images: the level that each has, what was made of the prompts 0.0, 1.0, 2.0, 3.0. */
const SEEN: [sigma: string, probabilities: number[]][] = [
  ["0.0", [0.7, 0.1, 0.1, 0.1]],
  ["0.4", [0.2, 0.5, 0.2, 0.1]],
  ["0.5", [0.6, 0.2, 0.1, 0.1]],
  ["1.2", [0.1, 0.6, 0.2, 0.1]],
  ["1.4", [0.1, 0.3, 0.4, 0.2]],
  ["2.6", [0.1, 0.1, 0.2, 0.6]],
  ["2.9", [0.0, 0.0, 0.1, 0.9]],
];
const images = SEEN.map(([sigma], i) => ({ path: `${i}.png`, label: `blur with sigma:${sigma}` }));
const labels = images.map(({ label }) => label);

describe("answersOf", () => {
  test("are the likeliest prompts, right where their level is nearer than half a step", () => {
    const answers = answersOf(
      blur!,
      SEEN.flatMap(([, row]) => row),
      images,
    );
    expect(answers.map(({ level, answer, probability, right }) => [level, answer, probability, right])).toEqual([
      ["0.0", "0.0", 0.7, true],
      ["0.4", "1.0", 0.5, false],
      // Right between two levels: neither is right.
      ["0.5", "0.0", 0.6, false],
      ["1.2", "1.0", 0.6, true],
      ["1.4", "2.0", 0.4, false],
      ["2.6", "3.0", 0.6, true],
      ["2.9", "3.0", 0.9, true],
    ]);
    expect(answers[1]).toMatchObject({ filepath: "1.png", kind: "blur" });
  });

  test("probabilities that are no numbers are no answer, which is wrong", () => {
    const image = [{ path: "a.png", label: "blur with sigma:1.0" }];
    const answers = answersOf(blur!, [0, Number.NaN, 0, 0], image);
    expect(answers).toEqual([
      { filepath: "a.png", kind: "blur", level: "1.0", answer: null, probability: null, right: false },
    ]);
    const { counts, right } = confusionOf(blur!, answers, [image[0]!.label]);
    expect(counts.flat().every((count) => count === 0)).toBe(true);
    expect(right).toEqual([null, 0, null, null]);
  });
});

describe("confusionOf", () => {
  test("counts images by the level nearest to theirs and the one that was answered", () => {
    const answers = answersOf(
      blur!,
      SEEN.flatMap(([, row]) => row),
      images,
    );
    expect(confusionOf(blur!, answers, labels)).toEqual({
      levels: ["0.0", "1.0", "2.0", "3.0"],
      counts: [
        [2, 1, 0, 0], // 0.0 and 0.5; 0.4
        [0, 1, 1, 0], // 1.2; 1.4
        [0, 0, 0, 0],
        [0, 0, 0, 2], // 2.6 and 2.9
      ],
      right: [1 / 3, 1 / 2, null, 1],
    });
  });

  test("an answer one level away may be right, where levels are wide apart and the label stands between", () => {
    const between = [{ path: "a.png", label: "gaussian noise with sigma:8.0" }];
    const answers = answersOf(gaussian!, [0.8, 0.1, 0.1], between);
    expect(confusionOf(gaussian!, answers, ["gaussian noise with sigma:8.0"])).toEqual({
      levels: ["0", "15", "30"],
      counts: [
        [0, 0, 0],
        [1, 0, 0],
        [0, 0, 0],
      ],
      right: [null, 1, null],
    });
  });

  test("ringing is there or not", () => {
    const [no, yes] = ringing!.prompts as [string, string];
    const rings = [no, yes, yes].map((label, i) => ({ path: `${i}.png`, label }));
    const answers = answersOf(ringing!, [0.9, 0.1, 0.6, 0.4, 0.2, 0.8], rings);
    expect(confusionOf(ringing!, answers, [no, yes, yes])).toEqual({
      levels: ["no", "yes"],
      counts: [
        [1, 0],
        [1, 1],
      ],
      right: [1, 0.5],
    });
  });
});
