import { fineLabels, levelsOf } from "@deplsr/degradation";
import { describe, expect, it } from "vitest";
import { drawEvenly, levelsOfPrompts, recognitionOf } from "../../src/results/recognition.ts";

describe("drawEvenly", () => {
  it("takes nothing but the prompts' levels, all of them about as often", () => {
    for (const noise of ["gaussian", "poisson"] as const) {
      const draws = Array.from({ length: 600 }, (_, seed) => levelsOf(drawEvenly(seed, noise)));
      const counts = (value: (levels: (typeof draws)[number]) => number | boolean): Map<number | boolean, number> => {
        const found = new Map<number | boolean, number>();
        for (const levels of draws) found.set(value(levels), (found.get(value(levels)) ?? 0) + 1);
        return found;
      };
      const strength = ({ noise: found }: (typeof draws)[number]): number =>
        found?.type === "gaussian" ? found.sigma : (found?.scale ?? Number.NaN);
      const expected: [Map<number | boolean, number>, (number | boolean)[]][] = [
        [counts(({ blurSigma }) => blurSigma), [0, 1, 2, 3]],
        [counts(strength), noise === "gaussian" ? [0, 15, 30] : [0, 1, 2, 3]],
        [counts(({ quality }) => quality), [30, 50, 70, 90]],
        [counts(({ ringing }) => ringing), [false, true]],
      ];
      for (const [found, levels] of expected) {
        expect(new Set(found.keys())).toEqual(new Set(levels));
        for (const count of found.values()) expect(Math.abs(count * levels.length - 600)).toBeLessThan(150);
      }
      expect(draws.every((levels) => levels.noise?.type === noise)).toBe(true);
    }
  });

  it("has labels that are right for one prompt only", () => {
    const [blur] = fineLabels(levelsOf(drawEvenly(1, "gaussian")));
    expect(levelsOfPrompts("blur").map((level) => `blur with sigma:${level.toFixed(1)}`)).toContain(blur);
  });
});

describe("recognitionOf", () => {
  it("judges either noise on the squares that have it, and the others on all", () => {
    const evaluation = (share: number, images: number) => {
      const shares = Object.fromEntries(
        ["blur", "gaussian", "poisson", "jpeg", "ringing"].map((name) => [name, share]),
      );
      return { accuracy: shares, chance: shares, constant: shares, images };
    };
    const found = recognitionOf(evaluation(0.9, 100), evaluation(0.5, 300));
    expect(found.map(({ name, accuracy, images }) => [name, accuracy, images])).toEqual([
      ["blur", expect.closeTo(0.6, 9), 400],
      ["gaussian", expect.closeTo(0.9, 9), 100],
      ["poisson", expect.closeTo(0.5, 9), 300],
      ["jpeg", expect.closeTo(0.6, 9), 400],
      ["ringing", expect.closeTo(0.6, 9), 400],
    ]);
  });
});
