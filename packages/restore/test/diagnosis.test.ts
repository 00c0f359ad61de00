import { clipConfig } from "@deplsr/clip";
import { DIAGNOSIS_KINDS, SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { Device, l2Normalize, Rng, randn, scope } from "@deplsr/tensor";
import { afterAll, expect, test } from "vitest";
import { diagnose } from "../src/diagnosis.ts";
import { normalized, squaresForPrompt } from "../src/prompt.ts";
import { picture } from "./pictures.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const SIZE = 16;
const E = 24;
const clip = clipConfig({
  embedDim: E,
  vision: { imageSize: SIZE, patchSize: 8, width: 32, layers: 2, headWidth: 16 },
  text: { contextLength: 8, vocabSize: 60, width: 16, heads: 2, layers: 1 },
});

/** Float64 vectors of length 1. */
function unit(values: readonly number[]): number[] {
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}

test("levels are as likely as the softmax of scaled cosines with the mean of the squares' features", async () => {
  const model = new SrCLIPV2(srclipConfig(clip, { loss: "clip", fineDegradations: 5 }), { device, rng: new Rng(3) });
  const features = DIAGNOSIS_KINDS.map(({ prompts }, i) =>
    scope(() => l2Normalize(randn(device, [prompts.length, E], new Rng(i)), { dim: 1 })),
  );
  const scale = Math.exp((await model.logitScale.data())[0]!);
  const options = { prompt: { clipInput: "normalized", clipFit: "crop" }, kinds: DIAGNOSIS_KINDS, features } as const;
  for (const image of [picture(SIZE, SIZE, 8), picture(40, 70, 16)]) {
    const found = await diagnose(model, image, options);
    const squares = squaresForPrompt(image, SIZE, "crop");
    expect(squares.length).toBe(image.width === SIZE ? 1 : 6);
    const seen = await Promise.all(
      squares.map(async (square) => [
        ...(await model.encodeImage(normalized(device.tensor(square, [1, 3, SIZE, SIZE]))).fine!.data()),
      ]),
    );
    for (const [kind, { name, prompts }] of DIAGNOSIS_KINDS.entries()) {
      const units = seen.map((fine) => unit(fine.slice(kind * E, (kind + 1) * E)));
      const mean = unit(Array.from({ length: E }, (_, i) => units.reduce((sum, u) => sum + u[i]!, 0)));
      const texts = [...(await features[kind]!.data())];
      const powers = prompts.map((_, p) =>
        Math.exp(scale * mean.reduce((sum, value, i) => sum + value * texts[p * E + i]!, 0)),
      );
      const total = powers.reduce((a, b) => a + b);
      const told = found[kind]!;
      expect(told.name).toBe(name);
      expect([...told.levels.keys()]).toEqual(prompts.map((prompt) => prompt.replace(/^.* with /, "")));
      for (const [p, share] of [...told.levels.values()].entries()) expect(share).toBeCloseTo(powers[p]! / total, 4);
      expect(told.probability).toBe(Math.max(...told.levels.values()));
      expect(told.levels.get(told.level)).toBe(told.probability);
    }
  }
  model.dispose();
});

test("the kinds are asked in steps that people know", () => {
  const asked = Object.fromEntries(
    DIAGNOSIS_KINDS.map(({ name, prompts }) => [name, [prompts[0], prompts[1], prompts.at(-1)]]),
  );
  expect(asked).toEqual({
    blur: ["blur with sigma:0.0", "blur with sigma:0.5", "blur with sigma:3.0"],
    gaussian: ["gaussian noise with sigma:0", "gaussian noise with sigma:5", "gaussian noise with sigma:30"],
    poisson: ["poisson noise with scale:0.0", "poisson noise with scale:0.5", "poisson noise with scale:3.0"],
    jpeg: ["jpeg with quality factor:30", "jpeg with quality factor:40", "jpeg with quality factor:90"],
    ringing: [
      "no ringing and overshoot artifacts",
      "ringing and overshoot artifacts",
      "ringing and overshoot artifacts",
    ],
  });
});
