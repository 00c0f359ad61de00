import { CLIP_PRESETS, clipConfig, SIGLIP_START, VIT_B_32 } from "@deplsr/clip";
import { Rng } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  detectSrCLIP,
  FinetuneCLIP,
  SrCLIP,
  type SrCLIPDescription,
  SrCLIPV2,
  srclipConfig,
  srclipShapes,
} from "../src/index.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };

/** Heads of 64 channels but in the text tower, whose width 64 does not divide. */
const SMALL = clipConfig({
  embedDim: 24,
  vision: { imageSize: 48, patchSize: 16, width: 128, layers: 3, mlpRatio: 2 },
  text: { contextLength: 20, vocabSize: 90, width: 32, heads: 1, layers: 2 },
});
const V2 = srclipConfig(SMALL, { loss: "clip", fineDegradations: 3 });
const DESCRIPTIONS: readonly [string, SrCLIPDescription][] = [
  ["SrCLIP", { model: "SrCLIP", config: { clip: SMALL, loss: "clip" } }],
  ["SrCLIP with SigLIP", { model: "SrCLIP", config: { clip: SMALL, loss: "siglip" } }],
  ["SrCLIPV2", { model: "SrCLIPV2", config: V2 }],
  ["SrCLIPV2 with SigLIP", { model: "SrCLIPV2", config: { ...V2, loss: "siglip" } }],
  ["FinetuneCLIP", { model: "FinetuneCLIP", config: V2 }],
  [
    "FinetuneCLIP with SigLIP",
    { model: "FinetuneCLIP", config: { ...V2, loss: "siglip", clip: { ...SMALL, ...SIGLIP_START } } },
  ],
];

function make({ model, config }: SrCLIPDescription): SrCLIP | SrCLIPV2 | FinetuneCLIP {
  if (model === "SrCLIP") return new SrCLIP(config, init);
  return model === "SrCLIPV2" ? new SrCLIPV2(config, init) : new FinetuneCLIP(config, init);
}

describe("srclipShapes", () => {
  it.each(DESCRIPTIONS)("lists the tensors of %s", (_, description) => {
    const model = make(description);
    const made = [...model.stateDict()].map(([name, { shape }]) => `${name} [${shape}]`);
    expect([...srclipShapes(description)].map(([name, shape]) => `${name} [${shape}]`)).toEqual(made);
    model.dispose();
  });
});

describe("detectSrCLIP", () => {
  it.each(DESCRIPTIONS)("finds %s", (_, description) => {
    expect(detectSrCLIP(srclipShapes(description))).toEqual(description);
  });

  it.each(["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-H-14"])("finds those of %s", (name) => {
    const config = srclipConfig(CLIP_PRESETS.get(name)!);
    expect(detectSrCLIP(srclipShapes({ model: "SrCLIPV2", config }))).toEqual({ model: "SrCLIPV2", config });
  });

  it.each(DESCRIPTIONS)("tells %s what shapes do not tell", (_, description) => {
    const found = detectSrCLIP(srclipShapes(description), { assume: { quickGelu: true } });
    expect(found?.config.clip).toEqual({ ...description.config.clip, quickGelu: true });
  });

  it("reads the reference's names: doubled, prefixed, and with a bias that is not used", () => {
    const shapes = new Map<string, readonly number[]>([["module.clip.logit_bias", []]]);
    for (const [name, shape] of srclipShapes({ model: "SrCLIPV2", config: V2 })) {
      shapes.set(`module.${name}`, shape);
      if (name.startsWith("clip.visual.")) shapes.set(`module.${name.slice("clip.".length)}`, shape);
    }
    expect(detectSrCLIP(shapes)).toEqual({ model: "SrCLIPV2", config: V2 });
  });

  it("is null for other networks", () => {
    expect(detectSrCLIP(new Map())).toBeNull();
    expect(detectSrCLIP(new Map([["conv_first.weight", [64, 3, 3, 3]]]))).toBeNull();
    const plain = srclipShapes({ model: "FinetuneCLIP", config: V2 });
    for (const name of plain.keys()) if (name.includes("_linear.")) plain.delete(name);
    expect(detectSrCLIP(plain)).toBeNull();
  });

  it.each<[string, SrCLIPDescription["model"], (shapes: Map<string, readonly number[]>) => void, string]>([
    [
      "a tap that is missing",
      "SrCLIPV2",
      (shapes) => shapes.delete("visual_control.transformer.zero_modules.1.bias"),
      "SrCLIPV2: the tensors do not fit together: missing: visual_control.transformer.zero_modules.1.bias [128]: give a whole",
    ],
    [
      "an adaptor of another width",
      "SrCLIP",
      (shapes) => shapes.set("visual_control.proj", [64, 24]),
      "SrCLIP: the tensors do not fit together: of another shape: visual_control.proj [64, 24] (expected [128, 24])",
    ],
    [
      "a head of half a degradation",
      "SrCLIPV2",
      (shapes) => shapes.set("out_linear.weight", [60, 24]).set("out_linear.bias", [60]),
      "of another shape: out_linear.weight [60, 24] (expected [72, 24]) and 1 more",
    ],
    [
      "an MLP of another CLIP",
      "FinetuneCLIP",
      (shapes) => shapes.set("fine1_linear.weight", [1536, 3072]),
      "FinetuneCLIP: the tensors do not fit together: of another shape: fine1_linear.weight [1536, 3072] (expected [72, 144])",
    ],
    [
      "a CLIP that is not whole",
      "SrCLIPV2",
      (shapes) => shapes.delete("clip.visual.proj"),
      "CLIP: the tensors do not fit together: missing: visual.proj: give a whole, unchanged CLIP",
    ],
  ])("names the difference: %s", (_, model, spoil, message) => {
    const shapes = srclipShapes({ model, config: V2 });
    spoil(shapes);
    expect(() => detectSrCLIP(shapes)).toThrow(message);
    expect(() => detectSrCLIP(shapes)).toThrow(/^[^\n]*$/);
  });

  it("tells the size of the images", () => {
    const config = srclipConfig({ ...VIT_B_32, vision: { ...VIT_B_32.vision, imageSize: 384 } });
    expect(detectSrCLIP(srclipShapes({ model: "SrCLIPV2", config }))?.config.clip.vision.imageSize).toBe(384);
  });
});
