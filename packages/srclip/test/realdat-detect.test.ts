import { DAT_LIGHT_X4, datState } from "@deplsr/dat";
import { describe, expect, it } from "vitest";
import * as presets from "../src/realdat-config.ts";
import { checkRealDATConfig, REALDAT_LIGHT_X4, REALDAT_X4, type RealDATConfig } from "../src/realdat-config.ts";
import { detectRealDAT } from "../src/realdat-detect.ts";
import { realDATState } from "../src/realdat-state.ts";

function shapesOf(config: RealDATConfig): Map<string, readonly number[]> {
  return new Map(realDATState(config).map(({ name, shape }) => [name, shape]));
}

const PRESETS = Object.entries(presets).filter((entry): entry is [string, RealDATConfig] =>
  entry[0].startsWith("REALDAT_"),
);

describe("detectRealDAT", () => {
  it.each(PRESETS)("finds %s", (_, config) => {
    expect(detectRealDAT(shapesOf(config))).toEqual(config);
  });

  it("knows all presets", () => {
    expect(PRESETS).toHaveLength(12);
  });

  it.each<[string, Partial<RealDATConfig>]>([
    ["no fusion", { fusionLayers: "none", clipDim: 1024, qkvBias: false, fusionQkvBias: false }],
    ["fusion before one group", { fusionLayers: 3, fusionQkvBias: false }],
    ["fusion before some groups", { fusionLayers: "0-2-4", clipDim: 24, fusionMlpRatio: 2.5 }],
    ["narrow queries", { embedDim: 32, numHeads: [2, 2, 2, 2, 2, 2], fusionAttnRatio: 0.5, fusionNumHeads: 4 }],
    ["x3, grey, other windows", { upscale: 3, inChannels: 1, splitSize: [4, 12], imgSize: 24, expansionFactor: 1.5 }],
  ])("finds %s", (_, change) => {
    const config = checkRealDATConfig({ ...REALDAT_X4, ...change });
    expect(detectRealDAT(shapesOf(config))).toEqual(config);
  });

  it("leaves what does not fit to a loader that lists it", () => {
    const shapes = shapesOf(REALDAT_X4);
    shapes.delete("fusion_blocks.2.mlp.fc2.bias");
    shapes.set("norm.weight", [3]);
    expect(detectRealDAT(shapes, { whole: false })).toEqual(REALDAT_X4);
  });

  it("takes the published values for what shapes do not tell", () => {
    const dropped = { ...REALDAT_X4, fusionAttnDropRate: 0.1, fusionDropRate: 0.2, fusionNumHeads: 4 };
    expect(detectRealDAT(shapesOf(dropped))).toEqual(REALDAT_X4);
    expect(detectRealDAT(shapesOf({ ...REALDAT_LIGHT_X4, fusionLayers: 0 }))).toEqual(REALDAT_LIGHT_X4);
    const none = { ...REALDAT_X4, fusionLayers: "none", fusionMlpRatio: 2 };
    expect(detectRealDAT(shapesOf(none))).toEqual({ ...REALDAT_X4, fusionLayers: "none" });
  });

  it("takes what it is told for what shapes do not tell", () => {
    const told = { splitSize: [32, 8], imgRange: 255, fusionNumHeads: 4 } as const;
    expect(detectRealDAT(shapesOf(REALDAT_X4), { assume: told })).toEqual({ ...REALDAT_X4, ...told });
    const wrong: [Readonly<Record<string, unknown>>, string][] = [
      [{ fusionNumHeads: 7 }, "RealDAT: fusionNumHeads: embedDim 180 does not divide into 7 heads"],
      [{ splitSize: [8, 16] }, "splitSize: [8, 16] contradicts the tensors, which are for [8, 32]"],
      [
        { heads: 3 },
        "RealDAT: nothing is assumed of heads: known are splitSize, imgRange, qkScale, layerNormEps, globalResidual, fusion",
      ],
    ];
    for (const [assume, message] of wrong) {
      expect(() => detectRealDAT(shapesOf(REALDAT_X4), { assume })).toThrow(message);
    }
  });

  it("is null for other networks", () => {
    expect(detectRealDAT(new Map())).toBeNull();
    expect(detectRealDAT(new Map(datState(DAT_LIGHT_X4).map(({ name, shape }) => [name, shape])))).toBeNull();
    expect(detectRealDAT(new Map([["adaptive_feat_channels.0.weight", [60, 512]]]))).toBeNull();
  });

  it.each<[string, (shapes: Map<string, readonly number[]>) => void, string]>([
    [
      "a block without its normalisation",
      (shapes) => shapes.delete("fusion_blocks.0.norm2.weight"),
      "RealDAT: the tensors do not fit together: missing: fusion_blocks.0.norm2.weight [60]: give a whole",
    ],
    [
      "a width of another block",
      (shapes) => shapes.set("fusion_blocks.0.attn.k.weight", [60, 60]),
      "of another shape: fusion_blocks.0.attn.k.weight [60, 60] (expected [60, 120]): give a whole, unchanged RealDAT",
    ],
    [
      "a block before no group",
      (shapes) => shapes.set("fusion_blocks.1.norm2.weight", [60]),
      "unexpected: fusion_blocks.1.norm2.weight [60]",
    ],
    [
      "a block of the DAT",
      (shapes) => shapes.delete("layers.0.blocks.3.norm2.bias"),
      "missing: layers.0.blocks.3.norm2.bias [60]",
    ],
  ])("names the difference: %s", (_, spoil, message) => {
    const shapes = shapesOf(REALDAT_LIGHT_X4);
    spoil(shapes);
    expect(() => detectRealDAT(shapes)).toThrow(message);
    expect(() => detectRealDAT(shapes)).toThrow(/^(Real)?DAT: [^\n]*$/);
  });
});
