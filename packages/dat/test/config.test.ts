import { describe, expect, it } from "vitest";
import {
  checkConfig,
  DAT_2_X2,
  DAT_2_X3,
  DAT_2_X4,
  DAT_LIGHT_X2,
  DAT_LIGHT_X3,
  DAT_LIGHT_X4,
  DAT_S_X2,
  DAT_S_X3,
  DAT_S_X4,
  DAT_X2,
  DAT_X3,
  DAT_X4,
  type DATConfig,
  dropPathRates,
  isShifted,
  upsampleSteps,
} from "../src/config.ts";
import { configFromReference } from "../src/keys.ts";
import { datState, parameterCount } from "../src/state.ts";

describe("parameterCount", () => {
  it.each([
    ["DAT x2", DAT_X2, 14_654_339],
    ["DAT x3", DAT_X3, 14_838_979],
    ["DAT x4", DAT_X4, 14_802_051],
    ["DAT-S x2", DAT_S_X2, 11_064_419],
    ["DAT-S x3", DAT_S_X3, 11_249_059],
    ["DAT-S x4", DAT_S_X4, 11_212_131],
    ["DAT-2 x2", DAT_2_X2, 11_064_419],
    ["DAT-2 x3", DAT_2_X3, 11_249_059],
    ["DAT-2 x4", DAT_2_X4, 11_212_131],
    ["DAT-light x2", DAT_LIGHT_X2, 553_290],
    ["DAT-light x3", DAT_LIGHT_X3, 561_405],
    ["DAT-light x4", DAT_LIGHT_X4, 572_766],
  ])("%s", (_, config, count) => {
    expect(parameterCount(config)).toBe(count);
  });

  it("agrees with the reference's parts", () => {
    const part = (prefix: string): number => {
      const entries = datState(DAT_X4).filter(({ name, role }) => role === "parameter" && name.startsWith(prefix));
      return entries.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    };
    expect(part("layers.0.blocks.0.")).toBe(343_257);
    expect(part("layers.0.blocks.1.")).toBe(343_017);
    expect(part("layers.0.")).toBe(2_350_602);
  });
});

describe("datState", () => {
  it("has as many entries as the reference's checkpoints", () => {
    expect(datState(DAT_X4)).toHaveLength(2116);
    expect(datState(DAT_LIGHT_X4)).toHaveLength(1063);
  });

  it("has masks in the shifted blocks alone", () => {
    const masked = datState(DAT_X4).filter(({ name }) => name.endsWith("attn_mask_0"));
    expect(masked.map(({ name }) => name.match(/\d+/g)!.slice(0, 2).join(","))).toEqual([
      "0,2",
      "1,0",
      "1,4",
      "2,2",
      "3,0",
      "3,4",
      "4,2",
      "5,0",
      "5,4",
    ]);
    expect(masked[0]!.shape).toEqual([16, 256, 256]);
  });
});

describe("isShifted", () => {
  it("takes every other spatial block of a long group", () => {
    const shifted = Array.from({ length: 18 }, (_, block) => block).filter((block) => isShifted(0, block));
    expect(shifted).toEqual([2, 6, 10, 14]);
  });
});

describe("dropPathRates", () => {
  it("rises linearly over all blocks", () => {
    const rates = dropPathRates(DAT_X4);
    expect(rates).toHaveLength(36);
    const published = [0, 0.0029, 0.0057, 0.0086, 0.0114];
    expect(rates.slice(0, 5).map((rate) => Number(rate.toFixed(4)))).toEqual(published);
    expect(rates.at(-1)).toBeCloseTo(0.1, 12);
    for (const [k, rate] of dropPathRates(DAT_LIGHT_X4).entries()) expect(rate).toBeCloseTo((0.1 * k) / 17, 12);
    expect(dropPathRates({ ...DAT_X4, depth: [1], numHeads: [6] })).toEqual([0]);
  });
});

describe("upsampleSteps", () => {
  it("doubles, or triples once", () => {
    expect([1, 2, 3, 4, 8].map(upsampleSteps)).toEqual([[], [2], [3], [2, 2], [2, 2, 2]]);
    expect(() => upsampleSteps(6)).toThrow("upscale 6 cannot be made with pixelshuffle: expected 3 or a power of 2");
  });
});

describe("checkConfig", () => {
  it.each<[Partial<DATConfig>, string]>([
    [{ numHeads: [6] }, "DAT: numHeads: 1 values for 6 groups of depth [6, 6, 6, 6, 6, 6]"],
    [{ depth: [2], numHeads: [3] }, "DAT: numHeads: 3 must be even: half of the heads for each branch"],
    [{ depth: [2], numHeads: [8] }, "DAT: embedDim: 180 does not divide into 8 heads"],
    [{ splitSize: [0, 8] }, "DAT: splitSize: [0, 8] must be two positive whole numbers"],
    [{ expansionFactor: 0.995 }, "DAT: expansionFactor: 0.995 x 180 gives 179 features, which have no two halves"],
    [{ upscale: 5 }, "upscale 5 cannot be made with pixelshuffle"],
    [{ dropPathRate: 1 }, "DAT: dropPathRate: 1 is not in [0, 1)"],
    [{ imgRange: 0 }, "DAT: imgRange: 0 cannot divide"],
  ])("refuses %j", (change, message) => {
    expect(() => checkConfig({ ...DAT_X2, ...change })).toThrow(message);
  });
});

describe("configFromReference", () => {
  it("reads the reference's arguments", () => {
    const config = configFromReference({
      embed_dim: 60,
      depth: [18],
      num_heads: [6],
      split_size: [8, 32],
      expansion_factor: 2,
      upscale: 4,
      resi_connection: "3conv",
      upsampler: "pixelshuffledirect",
    });
    expect(config).toEqual(DAT_LIGHT_X4);
  });

  it("names what it does not understand", () => {
    expect(() => configFromReference({ embed: 60 })).toThrow("DAT: unknown argument embed: expected one of img_size,");
    expect(() => configFromReference({ upsampler: "nearest" })).toThrow(
      'DAT: upsampler: expected pixelshuffle or pixelshuffledirect, got "nearest"',
    );
    expect(() => configFromReference({ split_size: [8] })).toThrow("DAT: split_size: expected two numbers, got [8]");
  });
});
