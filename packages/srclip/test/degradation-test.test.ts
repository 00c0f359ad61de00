import { buildVocabulary, clipConfig, Tokenizer } from "@deplsr/clip";
import { Rng } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  DEGRADATION_KINDS,
  degradationLevel,
  degradationProbabilities,
  encodePrompts,
  isRight,
  likeliestPrompts,
  photoWith,
  SrCLIPV2,
  scoreDegradation,
  srclipConfig,
} from "../src/index.ts";

const device = await testDevice();
const [blur, gaussian, poisson, jpeg, ringing] = DEGRADATION_KINDS as [
  (typeof DEGRADATION_KINDS)[0],
  (typeof DEGRADATION_KINDS)[0],
  (typeof DEGRADATION_KINDS)[0],
  (typeof DEGRADATION_KINDS)[0],
  (typeof DEGRADATION_KINDS)[0],
];

/** Probabilities that choose, for each label, the prompt nearest to it, as a perfect model would. */
function perfect(kind: (typeof DEGRADATION_KINDS)[0], labels: readonly string[]): number[] {
  return labels.flatMap((label) => {
    const distance = kind.prompts.map((prompt) =>
      kind.tolerance === null ? Number(prompt !== label) : Math.abs(degradationLevel(prompt) - degradationLevel(label)),
    );
    const best = distance.indexOf(Math.min(...distance));
    return kind.prompts.map((_, prompt) => (prompt === best ? 0.9 : 0.01));
  });
}

describe("DEGRADATION_KINDS", () => {
  it("are the published prompts", () => {
    expect(DEGRADATION_KINDS.map(({ name }) => name)).toEqual(["blur", "gaussian", "poisson", "jpeg", "ringing"]);
    expect(blur.prompts).toEqual(["0.0", "1.0", "2.0", "3.0"].map((sigma) => `blur with sigma:${sigma}`));
    expect(gaussian.prompts).toEqual(["0", "15", "30"].map((sigma) => `gaussian noise with sigma:${sigma}`));
    expect(jpeg.prompts[3]).toBe("jpeg with quality factor:90");
    expect(photoWith(poisson.prompts[2]!)).toBe("A photo with poisson noise with scale:2.0");
  });
});

describe("degradationLevel", () => {
  it("reads the number behind the last colon", () => {
    expect(degradationLevel("blur with sigma:1.5")).toBe(1.5);
    expect(degradationLevel("a: b: -2e1 ")).toBe(-20);
    expect(() => degradationLevel("ringing")).toThrow('"ringing" does not end in a number after a colon');
  });
});

describe("isRight", () => {
  it("is strict at the midpoint and literal for ringing", () => {
    expect(isRight(blur, "blur with sigma:0.5", "blur with sigma:0.0")).toBe(false);
    expect(isRight(blur, "blur with sigma:0.4", "blur with sigma:0.0")).toBe(true);
    expect(isRight(gaussian, "gaussian noise with sigma:9.9", "gaussian noise with sigma:0")).toBe(true);
    expect(isRight(ringing, "ringing and overshoot artifacts", "no ringing and overshoot artifacts")).toBe(false);
  });
});

describe("likeliestPrompts", () => {
  it("finds each row's largest, and none where there is no number", () => {
    expect(likeliestPrompts(gaussian, [0.1, 0.7, 0.2, 0.5, 0.1, 0.4, Number.NaN, 0.5, 0.5])).toEqual([1, 0, -1]);
    expect(likeliestPrompts(gaussian, [])).toEqual([]);
    expect(() => likeliestPrompts(gaussian, [1, 0])).toThrow("2 probabilities are no rows of 3 prompts");
  });
});

describe("scoreDegradation", () => {
  it("reaches 0.90 at best for blur on the training grid, 1 for ringing", () => {
    const sigmas = Array.from({ length: 30 }, (_, i) => `blur with sigma:${(i / 10).toFixed(1)}`);
    const score = scoreDegradation(blur, perfect(blur, sigmas), sigmas);
    expect(score.accuracy).toBeCloseTo(0.9, 12);
    expect(score.chance).toBeCloseTo(0.9 / 4, 12);
    const both = ["ringing and overshoot artifacts", "no ringing and overshoot artifacts"];
    expect(scoreDegradation(ringing, perfect(ringing, both), both)).toEqual({
      name: "ringing",
      accuracy: 1,
      chance: 0.5,
      images: 2,
    });
  });

  it("refuses probabilities that do not fit the labels", () => {
    expect(() => scoreDegradation(blur, [1, 0, 0], ["blur with sigma:1"])).toThrow(
      "scoreDegradation: blur: 3 probabilities are not 1 images of 4 prompts",
    );
  });
});

describe("degradationProbabilities", () => {
  const vocabulary = buildVocabulary(["i n", "t h", "a n"]);
  const clip = clipConfig({
    embedDim: 8,
    vision: { imageSize: 16, patchSize: 8, width: 16, layers: 1, headWidth: 8 },
    text: { contextLength: 77, vocabSize: vocabulary.size, width: 16, heads: 2, layers: 1 },
  });

  it("are shares of each kind's prompts", async () => {
    const model = new SrCLIPV2(srclipConfig(clip), { device, rng: new Rng(2) });
    const tokenizer = new Tokenizer(vocabulary);
    const prompts = encodePrompts(model, device, tokenizer, DEGRADATION_KINDS, { contextLength: 77 });
    expect(prompts.map(({ shape }) => shape[0])).toEqual([4, 3, 4, 4, 2]);
    const found = degradationProbabilities(model, device.ones([2, 3, 16, 16]), prompts);
    expect(found.map(({ shape }) => shape)).toEqual([4, 3, 4, 4, 2].map((n) => [2, n]));
    for (const each of found) expectClose(await each.sum({ dim: 1 }).data(), [1, 1]);
    model.dispose();
  });

  it("need a model that tells as many degradations apart", () => {
    const model = new SrCLIPV2(srclipConfig(clip, { fineDegradations: 3 }), { device, rng: new Rng(2) });
    const prompts = DEGRADATION_KINDS.map(() => device.ones([2, 8]));
    expect(() => degradationProbabilities(model, device.ones([1, 3, 16, 16]), prompts)).toThrow(
      "the model tells 3 single degradations apart, 5 are asked for",
    );
    model.dispose();
  });
});
