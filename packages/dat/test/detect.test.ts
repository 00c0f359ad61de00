import { describe, expect, it } from "vitest";
import * as presets from "../src/config.ts";
import { checkConfig, DAT_LIGHT_X2, DAT_S_X4, DAT_X2, DAT_X4, type DATConfig } from "../src/config.ts";
import { detectDAT, ratioGiving } from "../src/detect.ts";
import { datState, type StateRole } from "../src/state.ts";

function shapesOf(config: DATConfig, ...without: readonly StateRole[]): Map<string, readonly number[]> {
  const kept = datState(config).filter(({ role }) => !without.includes(role));
  return new Map(kept.map(({ name, shape }) => [name, shape]));
}

const PRESETS = Object.entries(presets).filter((entry): entry is [string, DATConfig] => entry[0].startsWith("DAT_"));

describe("detectDAT", () => {
  it.each(PRESETS)("finds %s", (_, config) => {
    expect(detectDAT(shapesOf(config))).toEqual(config);
  });

  it("knows all presets", () => {
    expect(PRESETS).toHaveLength(12);
  });

  it.each<[string, Partial<DATConfig>]>([
    ["x1, grey, other windows", { upscale: 1, inChannels: 1, splitSize: [4, 12], imgSize: 48 }],
    ["x3 in one step, no qkv bias", { upscale: 3, upsampler: "pixelshuffledirect", qkvBias: false }],
    ["x8, 3conv, 32 features", { upscale: 8, resiConnection: "3conv", numFeatures: 32 }],
    ["groups of different depth and heads", { depth: [1, 4, 3], numHeads: [10, 4, 6], imgSize: 96 }],
    ["square windows, fractional expansion", { splitSize: [16, 16], expansionFactor: 1.3, embedDim: 60 }],
    ["the narrowest network", { embedDim: 16, depth: [1], numHeads: [2], upsampler: "pixelshuffledirect" }],
  ])("finds %s", (_, change) => {
    const config = checkConfig({ ...DAT_X2, ...change });
    expect(detectDAT(shapesOf(config))).toEqual(config);
  });

  it("takes the presets' values for what shapes do not tell", () => {
    const untold = {
      imgRange: 255,
      qkScale: 0.5,
      layerNormEps: 1e-6,
      globalResidual: "bicubic" as const,
      dropRate: 0.1,
      attnDropRate: 0.1,
      dropPathRate: 0,
    };
    expect(detectDAT(shapesOf({ ...DAT_X4, ...untold }))).toEqual(DAT_X4);
    expect(detectDAT(shapesOf({ ...DAT_X4, splitSize: [32, 8] }))).toEqual(DAT_X4);
    // Nothing is shifted in a group of two blocks: no mask tells the size of its images.
    expect(detectDAT(shapesOf({ ...DAT_X4, depth: [2], numHeads: [6], imgSize: 128 }))?.imgSize).toBe(64);
    expect(detectDAT(shapesOf({ ...DAT_LIGHT_X2, numFeatures: 32 }))?.numFeatures).toBe(64);
    expect(detectDAT(shapesOf(DAT_S_X4, "derived", "statistic"))).toEqual({ ...DAT_S_X4, splitSize: [8, 32] });
  });

  it("takes what it is told for what shapes do not tell", () => {
    const told = {
      splitSize: [16, 8],
      imgRange: 255,
      qkScale: 0.5,
      layerNormEps: 1e-6,
      globalResidual: "bicubic",
    } as const;
    expect(detectDAT(shapesOf(DAT_S_X4), { assume: told })).toEqual({ ...DAT_S_X4, ...told });
    // Nothing tells the windows where no table is stored.
    const bare = shapesOf(DAT_S_X4, "derived", "statistic");
    expect(detectDAT(bare, { assume: { splitSize: [4, 12] } })?.splitSize).toEqual([4, 12]);
  });

  it.each<[Readonly<Record<string, unknown>>, string]>([
    [{ splitSize: [8, 32] }, "DAT: splitSize: [8, 32] contradicts the tensors, which are for [8, 16]"],
    [{ splitSize: [8] }, "DAT: splitSize: expected 2 numbers, got [8]"],
    [{ imgRange: 0 }, "DAT: imgRange: 0 cannot divide"],
    [{ layerNormEps: 0 }, "DAT: layerNormEps: 0 is not above 0"],
    [{ globalResidual: "cubic" }, 'DAT: globalResidual: "cubic" is neither none nor bicubic'],
    [
      { embedDim: 60 },
      "DAT: nothing is assumed of embedDim: known are splitSize, imgRange, qkScale, layerNormEps, globalResidual",
    ],
  ])("refuses to be told %j", (assume, message) => {
    for (const whole of [true, false]) expect(() => detectDAT(shapesOf(DAT_S_X4), { whole, assume })).toThrow(message);
  });

  it("leaves what does not fit to a loader that lists it", () => {
    const shapes = shapesOf(DAT_S_X4);
    shapes.delete("norm.bias");
    shapes.set("norm.weight", [3]);
    shapes.set("extra", [1]);
    expect(detectDAT(shapes)).toBeNull();
    expect(detectDAT(shapes, { whole: false })).toEqual(DAT_S_X4);
  });

  it("finds an expansion that gives as many features", () => {
    const config = { ...DAT_X4, expansionFactor: 1.415 }; // 254.7 features are 254
    const found = detectDAT(shapesOf(config))!;
    expect(shapesOf(found)).toEqual(shapesOf(config));
    for (const [width, of] of [
      [1, 49],
      [150, 187],
      [720, 180],
    ] as const) {
      expect(Math.trunc(of * ratioGiving(width, of))).toBe(width);
    }
  });

  it("is null for other networks", () => {
    expect(detectDAT(new Map())).toBeNull();
    expect(detectDAT(new Map([["conv_first.weight", [64, 3, 3, 3]]]))).toBeNull();
    const other = shapesOf(DAT_LIGHT_X2);
    other.delete("before_RG.1.weight");
    expect(detectDAT(other)).toBeNull();
    const larger = shapesOf(DAT_LIGHT_X2).set("guidance.0.weight", [60, 512]);
    expect(detectDAT(larger)).toBeNull();
  });

  it.each<[string, (shapes: Map<string, readonly number[]>) => void, string]>([
    [
      "a block without its last layer",
      (shapes) => shapes.delete("layers.0.blocks.17.ffn.fc2.bias"),
      "DAT: the tensors do not fit together: missing: layers.0.blocks.17.ffn.fc2.bias [60]: give a whole, unchanged DAT",
    ],
    [
      "a group with a gap",
      (shapes) => {
        for (const name of shapes.keys()) if (name.startsWith("layers.0.blocks.1.")) shapes.delete(name);
      },
      "missing: layers.0.blocks.1.attn.temperature: give",
    ],
    [
      "windows of two sizes",
      (shapes) => shapes.set("layers.0.blocks.4.attn.attns.1.rpe_biases", [465, 2]),
      "of another shape: layers.0.blocks.4.attn.attns.1.rpe_biases [465, 2] (expected [945, 2])",
    ],
    [
      "tables that contradict each other",
      (shapes) => shapes.set("layers.0.blocks.0.attn.attns.0.rpe_biases", [7, 2]),
      "of another shape: layers.0.blocks.0.attn.attns.0.rpe_biases [7, 2] (expected ",
    ],
    [
      "layers of another upsampler",
      (shapes) => shapes.set("conv_last.weight", [3, 64, 3, 3]).set("conv_last.bias", [3]),
      "unexpected: conv_last.weight [3, 64, 3, 3] and 1 more: give",
    ],
    [
      "no square number of features",
      (shapes) => shapes.set("upsample.0.weight", [15, 60, 3, 3]),
      "of another shape: upsample.0.weight [15, 60, 3, 3] (expected ",
    ],
    ["heads that do not divide", (shapes) => shapes.set("layers.0.blocks.1.attn.temperature", [8, 1, 1]), "8 heads"],
  ])("names the difference: %s", (_, spoil, message) => {
    const shapes = shapesOf(DAT_LIGHT_X2);
    spoil(shapes);
    expect(() => detectDAT(shapes)).toThrow(message);
    expect(() => detectDAT(shapes)).toThrow(/^DAT: [^\n]*$/);
  });
});
