import { describe, expect, it } from "vitest";
import {
  CLIP_PRESETS,
  clipConfig,
  countCLIPParameters,
  parseOpenClipConfig,
  VIT_B_32,
  VIT_H_14,
} from "../src/index.ts";

describe("countCLIPParameters", () => {
  it.each([
    ["ViT-B-32", 87_849_216, 63_428_096, 151_277_313],
    ["ViT-B-16", 86_192_640, 63_428_096, 149_620_737],
    ["ViT-L-14", 303_966_208, 123_650_304, 427_616_513],
    ["ViT-H-14", 632_076_800, 354_032_640, 986_109_441],
  ])("gives the published numbers of %s", (name, vision, text, total) => {
    expect(countCLIPParameters(CLIP_PRESETS.get(name)!)).toEqual({ vision, text, total });
  });

  it("counts a logit bias", () => {
    expect(countCLIPParameters({ ...VIT_B_32, logitBiasStart: -10 }).total).toBe(151_277_314);
  });
});

describe("clipConfig", () => {
  it.each([
    [{ vision: { patchSize: 30 } }, "CLIP config: patch size 30 does not divide image size 224"],
    [{ vision: { headWidth: 80 } }, "CLIP config: head width 80 does not divide vision width 768"],
    [{ text: { heads: 7 } }, "CLIP config: 7 heads do not divide text width 512"],
    [{ text: { layers: 0 } }, "CLIP config: text.layers is 0, but must be a whole number above 0"],
    [{ embedDim: 2.5 }, "CLIP config: embedDim is 2.5, but must be a whole number above 0"],
  ])("refuses %j", (partial, message) => {
    expect(() => clipConfig(partial)).toThrow(message);
  });
});

describe("parseOpenClipConfig", () => {
  it("reads a published configuration", () => {
    const parsed = parseOpenClipConfig({
      embed_dim: 1024,
      custom_text: true,
      vision_cfg: { image_size: 224, layers: 32, width: 1280, head_width: 80, patch_size: 14 },
      text_cfg: { context_length: 77, vocab_size: 49408, width: 1024, heads: 16, layers: 24 },
    });
    expect(parsed).toEqual(VIT_H_14);
  });

  it("takes a bias from a SigLIP configuration", () => {
    const parsed = parseOpenClipConfig({ embed_dim: 512, init_logit_bias: -10, vision_cfg: {}, text_cfg: {} });
    expect(parsed.logitBiasStart).toBe(-10);
  });

  it.each([
    [{ embed_dim: 512, vision_cfg: { timm_model_name: "x" }, text_cfg: {} }, "vision_cfg.timm_model_name is not known"],
    [{ embed_dim: 512, vision_cfg: { layers: [3, 4] }, text_cfg: {} }, "vision_cfg.layers must be a number, got [3,4]"],
    [{ embed_dim: 512, vision_cfg: {} }, "text_cfg must be an object, got undefined"],
    [{ embed_dim: 512, constructor: 1, vision_cfg: {}, text_cfg: {} }, "constructor is not known"],
    [null, "the configuration must be an object, got null"],
  ])("refuses %j", (value, message) => {
    expect(() => parseOpenClipConfig(value)).toThrow(message);
  });
});
