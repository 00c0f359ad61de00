import type { Shape } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { CLIP_PRESETS, clipConfig, clipShapes, detectCLIP, SIGLIP_START, VIT_B_32, VIT_L_14 } from "../src/index.ts";

/** Shapes with some entries changed; null takes one away. */
function changed(entries: Readonly<Record<string, Shape | null>>): Map<string, Shape> {
  const shapes = clipShapes(VIT_B_32);
  for (const [name, shape] of Object.entries(entries)) {
    if (shape === null) shapes.delete(name);
    else shapes.set(name, shape);
  }
  return shapes;
}

describe("detectCLIP", () => {
  it.each([...CLIP_PRESETS])("knows %s by its shapes, but for the activation", (_, config) => {
    expect(detectCLIP(clipShapes(config))).toEqual({ ...config, quickGelu: false });
  });

  it("takes OpenAI's files to mean the quick activation", () => {
    const extras = { input_resolution: [], context_length: [], vocab_size: [] };
    expect(detectCLIP(changed(extras))).toEqual({ ...VIT_B_32, quickGelu: true });
    expect(detectCLIP(changed({ context_length: [] }))).toEqual(VIT_B_32);
  });

  it("reads prefixed names, biases, layer scales, other ratios and other grids", () => {
    const config = clipConfig({
      ...SIGLIP_START,
      embedDim: 1280,
      vision: {
        patchSize: 14,
        imageSize: 378,
        width: 1664,
        headWidth: 104,
        layers: 2,
        mlpRatio: 4.9231,
        layerScale: 1,
      },
      text: { width: 1280, heads: 20, layers: 3, contextLength: 32, vocabSize: 100 },
    });
    const shapes = new Map<string, Shape>();
    for (const [name, shape] of clipShapes(config)) {
      const top = name.startsWith("logit_") || name.startsWith("visual.");
      shapes.set(`module.${top ? "" : "text."}${name}`, shape);
    }
    expect(detectCLIP(shapes)).toEqual({ ...config, vision: { ...config.vision, mlpRatio: 8192 / 1664 } });
  });

  it("gives a hidden width back that its ratio does not give exactly", () => {
    const config = clipConfig({ vision: { width: 1408, headWidth: 88, layers: 1, mlpRatio: 1414.5 / 1408 } });
    expect(clipShapes(detectCLIP(clipShapes(config))!)).toEqual(clipShapes(config));
  });

  it("takes what it is told for what shapes do not tell", () => {
    const assume = { quickGelu: true, "vision.headWidth": 32, "text.heads": 4 };
    expect(detectCLIP(clipShapes(VIT_B_32), { assume })).toEqual({
      ...VIT_B_32,
      quickGelu: true,
      vision: { ...VIT_B_32.vision, headWidth: 32 },
      text: { ...VIT_B_32.text, heads: 4 },
    });
    const wrong: [Readonly<Record<string, unknown>>, string][] = [
      [{ "vision.headWidth": 60 }, "CLIP config: head width 60 does not divide vision width 768"],
      [{ "text.heads": 7 }, "CLIP config: 7 heads do not divide text width 512"],
      [{ quickGelu: "yes" }, 'CLIP: quickGelu: expected true or false, got "yes"'],
      [{ heads: 3 }, "CLIP: nothing is assumed of heads: known are quickGelu, vision.headWidth, text.heads"],
    ];
    for (const [told, message] of wrong) {
      expect(() => detectCLIP(clipShapes(VIT_B_32), { assume: told })).toThrow(message);
    }
  });

  it("takes what is no CLIP with a vision transformer for none", () => {
    expect(detectCLIP(new Map())).toBeNull();
    expect(detectCLIP(new Map([["conv_first.weight", [180, 3, 3, 3]]]))).toBeNull();
    expect(detectCLIP(new Map([...clipShapes(VIT_L_14)].map(([name, shape]) => [`clip.${name}`, shape])))).toBeNull();
    expect(detectCLIP(changed({ "visual.class_embedding": null, "visual.attnpool.c_proj.bias": [512] }))).toBeNull();
  });

  it.each([
    [{ "visual.proj": null }, "missing: visual.proj"],
    [{ "visual.conv1.weight": [768, 3] }, "of another shape: visual.conv1.weight [768, 3]"],
    [
      { "ln_final.bias": null, extra: [1], other: [] },
      "missing: ln_final.bias [512]; unexpected: extra [1] and 1 more",
    ],
    [
      { "visual.positional_embedding": [49, 768] },
      "of another shape: visual.positional_embedding [49, 768] (expected [50, 768])",
    ],
    [{ "transformer.resblocks.3.ln_1.weight": null }, "missing: transformer.resblocks.3.ln_1.weight [512]"],
  ] as const)("refuses a CLIP with %j", (entries, problem) => {
    expect(() => detectCLIP(changed(entries))).toThrow(
      `CLIP: the tensors do not fit together: ${problem}: give a whole, unchanged CLIP`,
    );
  });
});
