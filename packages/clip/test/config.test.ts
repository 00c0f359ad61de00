import { describe, expect, it } from "vitest";
import {
  clipConfig,
  clipPreset,
  countCLIPParameters,
  listModels,
  parseOpenClipConfig,
  VIT_B_32,
  VIT_L_14,
} from "../src/index.ts";

describe("countCLIPParameters", () => {
  it.each([
    ["ViT-B-32", 87_849_216, 63_428_096, 151_277_313],
    ["ViT-B-16", 86_192_640, 63_428_096, 149_620_737],
    ["ViT-L-14", 303_966_208, 123_650_304, 427_616_513],
    ["ViT-L-14-336", 304_293_888, 123_650_304, 427_944_193],
    ["ViT-H-14", 632_076_800, 354_032_640, 986_109_441],
  ])("gives the published numbers of %s", (name, vision, text, total) => {
    for (const form of [name, `${name}-quickgelu`]) {
      expect(countCLIPParameters(clipPreset(form))).toEqual({ vision, text, total });
    }
  });

  it("counts a logit bias", () => {
    expect(countCLIPParameters({ ...VIT_B_32, logitBiasStart: -10 }).total).toBe(151_277_314);
  });
});

describe("clipPreset", () => {
  it("knows the ten models by their names", () => {
    expect(listModels()).toEqual(
      ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14"].flatMap((name) => [name, `${name}-quickgelu`]),
    );
    expect(clipPreset("ViT-B/32")).toBe(VIT_B_32);
    expect(clipPreset("ViT-L/14-quickgelu")).toEqual({ ...VIT_L_14, quickGelu: true });
  });

  it("lists them for a name that it does not know", () => {
    expect(() => clipPreset("RN50")).toThrow(
      'CLIP: there is no model "RN50"; known are ViT-B-32, ViT-B-32-quickgelu, ',
    );
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
  // The published files, in a short form.
  const text = (width: number, layers = 12): object => ({
    ...{ context_length: 77, vocab_size: 49408 },
    ...{ width, heads: width / 64, layers },
  });
  const FILES = {
    "ViT-B-32": [512, { image_size: 224, layers: 12, width: 768, patch_size: 32 }, text(512)],
    "ViT-B-16": [512, { image_size: 224, layers: 12, width: 768, patch_size: 16 }, text(512)],
    "ViT-L-14": [768, { image_size: 224, layers: 24, width: 1024, patch_size: 14 }, text(768)],
    "ViT-L-14-336": [768, { image_size: 336, layers: 24, width: 1024, patch_size: 14 }, text(768)],
    "ViT-H-14": [1024, { image_size: 224, layers: 32, width: 1280, head_width: 80, patch_size: 14 }, text(1024, 24)],
  } as const;

  it.each(Object.entries(FILES))(
    "reads the published configuration of %s",
    (name, [embed_dim, vision_cfg, text_cfg]) => {
      const file = { embed_dim, vision_cfg, text_cfg };
      expect(parseOpenClipConfig(file)).toEqual(clipPreset(name));
      expect(parseOpenClipConfig({ ...file, quick_gelu: true })).toEqual(clipPreset(`${name}-quickgelu`));
      expect(parseOpenClipConfig({ model_cfg: { ...file, custom_text: true }, preprocess_cfg: {} })).toEqual(
        clipPreset(name),
      );
    },
  );

  it("takes what only says the usual", () => {
    const vision_cfg = { patch_size: 32, ls_init_value: null, patch_dropout: 0, pool_type: "tok", no_ln_pre: false };
    const text_cfg = { pool_type: "argmax", no_causal_mask: false, hf_tokenizer_name: null };
    expect(parseOpenClipConfig({ embed_dim: 512, vision_cfg, text_cfg })).toEqual(VIT_B_32);
  });

  it("takes a bias from a SigLIP configuration", () => {
    const parsed = parseOpenClipConfig({ embed_dim: 512, init_logit_bias: -10, vision_cfg: {}, text_cfg: {} });
    expect(parsed.logitBiasStart).toBe(-10);
  });

  it.each([
    [{ embed_dim: 512, vision_cfg: { timm: "x" }, text_cfg: {} }, "vision_cfg.timm is not known; known are image_size"],
    [
      { embed_dim: 512, vision_cfg: { timm_model_name: "x" }, text_cfg: {} },
      'CLIP config: vision_cfg.timm_model_name is "x", but the CLIP here only has none',
    ],
    [
      { embed_dim: 512, vision_cfg: { pool_type: "avg" }, text_cfg: {} },
      'vision_cfg.pool_type is "avg", but the CLIP here only has "tok"',
    ],
    [
      { embed_dim: 512, vision_cfg: {}, text_cfg: { no_causal_mask: true } },
      "text_cfg.no_causal_mask is true, but the CLIP here only has false",
    ],
    [{ embed_dim: 512, multimodal_cfg: {}, vision_cfg: {}, text_cfg: {} }, "multimodal_cfg is not known; known are"],
    [{ embed_dim: 512, vision_cfg: { layers: [3, 4] }, text_cfg: {} }, "vision_cfg.layers must be a number, got [3,4]"],
    [{ embed_dim: 512, vision_cfg: {} }, "text_cfg must be an object, got undefined"],
    [{ embed_dim: 512, constructor: 1, vision_cfg: {}, text_cfg: {} }, "constructor is not known"],
    [null, "the configuration must be an object, got null"],
  ])("refuses %j", (value, message) => {
    expect(() => parseOpenClipConfig(value)).toThrow(message);
  });
});
