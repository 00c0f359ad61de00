import { countParameters } from "@deplsr/dat";
import { describe, expect, it } from "vitest";
import {
  checkRealDATConfig,
  fusionGroups,
  REALDAT_2_X2,
  REALDAT_2_X3,
  REALDAT_2_X4,
  REALDAT_LIGHT_X2,
  REALDAT_LIGHT_X3,
  REALDAT_LIGHT_X4,
  REALDAT_S_X2,
  REALDAT_S_X3,
  REALDAT_S_X4,
  REALDAT_X2,
  REALDAT_X3,
  REALDAT_X4,
  realDATConfigFromReference,
} from "../src/realdat-config.ts";
import { realDATParameterCount, realDATState } from "../src/realdat-state.ts";

describe("realDATParameterCount", () => {
  it.each([
    ["RealDAT x2", REALDAT_X2, 17_913_419],
    ["RealDAT x3", REALDAT_X3, 18_098_059],
    ["RealDAT x4", REALDAT_X4, 18_061_131],
    ["RealDAT-S x2", REALDAT_S_X2, 14_323_499],
    ["RealDAT-S x3", REALDAT_S_X3, 14_508_139],
    ["RealDAT-S x4", REALDAT_S_X4, 14_471_211],
    ["RealDAT-2 x2", REALDAT_2_X2, 14_323_499],
    ["RealDAT-2 x3", REALDAT_2_X3, 14_508_139],
    ["RealDAT-2 x4", REALDAT_2_X4, 14_471_211],
    ["RealDAT-light x2", REALDAT_LIGHT_X2, 646_650],
    ["RealDAT-light x3", REALDAT_LIGHT_X3, 654_765],
    ["RealDAT-light x4", REALDAT_LIGHT_X4, 666_126],
  ])("%s", (_, config, count) => {
    expect(realDATParameterCount(config)).toBe(count);
  });

  it("agrees with the reference's parts", () => {
    const part = (prefix: string): number =>
      countParameters(realDATState(REALDAT_X4).filter(({ name }) => name.startsWith(prefix)));
    expect(part("fusion_blocks.3.")).toBe(522_360);
    expect(part("adaptive_feat_channels.")).toBe(124_920);
  });
});

describe("realDATState", () => {
  it("has as many entries as the reference's checkpoints", () => {
    expect(realDATState(REALDAT_X4)).toHaveLength(2312);
    expect(realDATState(REALDAT_LIGHT_X4)).toHaveLength(1099);
  });
});

describe("fusionGroups", () => {
  it("takes all, none, one or a list", () => {
    const { depth } = REALDAT_X4;
    expect(fusionGroups({ depth, fusionLayers: "all" })).toEqual([0, 1, 2, 3, 4, 5]);
    expect(fusionGroups({ depth, fusionLayers: "none" })).toEqual([]);
    expect(fusionGroups({ depth, fusionLayers: 3 })).toEqual([3]);
    expect(fusionGroups({ depth, fusionLayers: "0-2-4" })).toEqual([0, 2, 4]);
  });

  it("names what it does not understand", () => {
    const { depth } = REALDAT_LIGHT_X4;
    expect(() => fusionGroups({ depth, fusionLayers: "0,1" })).toThrow(
      'RealDAT: fusionLayers: expected "all", "none", an index or indices such as "0-2-4", got 0,1',
    );
    expect(() => fusionGroups({ depth, fusionLayers: 1 })).toThrow("there is no group 1, the last of 1 is 0");
  });
});

describe("checkRealDATConfig", () => {
  it("refuses widths that do not divide", () => {
    expect(() => checkRealDATConfig({ ...REALDAT_X4, fusionNumHeads: 7 })).toThrow(
      "RealDAT: fusionNumHeads: embedDim 180 does not divide into 7 heads",
    );
    expect(() => checkRealDATConfig({ ...REALDAT_X4, fusionAttnRatio: 0.1 })).not.toThrow();
    expect(() => checkRealDATConfig({ ...REALDAT_X4, fusionAttnRatio: 0.11 })).toThrow("gives 19 features");
    expect(() => checkRealDATConfig({ ...REALDAT_X4, clipDim: 0 })).toThrow("RealDAT: clipDim: 0");
  });
});

describe("realDATConfigFromReference", () => {
  it("reads the reference's arguments", () => {
    const config = realDATConfigFromReference({
      embed_dim: 60,
      depth: [18],
      num_heads: [6],
      split_size: [8, 32],
      expansion_factor: 2,
      upscale: 4,
      resi_connection: "3conv",
      upsampler: "pixelshuffledirect",
      fusion_layers: "all",
      fusion_num_heads: 6,
      fusion_mlp_ratio: 1,
      fusion_attn_ratio: 1,
    });
    expect(config).toEqual(REALDAT_LIGHT_X4);
  });

  it("names what it does not understand", () => {
    expect(() => realDATConfigFromReference({ fusion_heads: 6 })).toThrow("unknown argument fusion_heads");
    expect(() => realDATConfigFromReference({ fusion_layers: true })).toThrow(
      "RealDAT: fusion_layers: expected a text or a number, got true",
    );
  });
});
