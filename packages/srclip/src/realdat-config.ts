import {
  checkConfig,
  configFromReference,
  DAT_2_X2,
  DAT_LIGHT_X2,
  DAT_S_X2,
  DAT_X2,
  type DATConfig,
} from "@deplsr/dat";

/** Which residual groups are preceded by a fusion block: all, none, one, or those of a list such as "0-2-4". */
export type FusionLayers = "all" | "none" | number | string;

/** Everything that fixes a RealDAT: a DAT, and the fusion blocks in front of its groups. */
export interface RealDATConfig extends DATConfig {
  readonly fusionLayers: FusionLayers;
  readonly fusionNumHeads: number;
  /** Hidden width of the fusion blocks' MLP as a multiple of `embedDim`. */
  readonly fusionMlpRatio: number;
  /** Width of the fusion blocks' queries and keys as a multiple of `embedDim`. */
  readonly fusionAttnRatio: number;
  readonly fusionQkvBias: boolean;
  readonly fusionAttnDropRate: number;
  readonly fusionDropRate: number;
  /** Width of the content and degradation features, the embedding width of the CLIP they come from. */
  readonly clipDim: number;
}

/** A DAT's configuration with the fusion of the published RealDAT models. */
export function withFusion(config: DATConfig): RealDATConfig {
  return {
    ...config,
    fusionLayers: "all",
    fusionNumHeads: 6,
    fusionMlpRatio: 1,
    fusionAttnRatio: 1,
    fusionQkvBias: config.qkvBias,
    fusionAttnDropRate: 0,
    fusionDropRate: 0,
    clipDim: 512,
  };
}

/** RealDAT at x2. */
export const REALDAT_X2: RealDATConfig = withFusion(DAT_X2);
/** RealDAT at x3. */
export const REALDAT_X3: RealDATConfig = { ...REALDAT_X2, upscale: 3 };
/** RealDAT at x4. */
export const REALDAT_X4: RealDATConfig = { ...REALDAT_X2, upscale: 4 };

/** RealDAT-S at x2. */
export const REALDAT_S_X2: RealDATConfig = withFusion(DAT_S_X2);
/** RealDAT-S at x3. */
export const REALDAT_S_X3: RealDATConfig = { ...REALDAT_S_X2, upscale: 3 };
/** RealDAT-S at x4. */
export const REALDAT_S_X4: RealDATConfig = { ...REALDAT_S_X2, upscale: 4 };

/** RealDAT-2 at x2. */
export const REALDAT_2_X2: RealDATConfig = withFusion(DAT_2_X2);
/** RealDAT-2 at x3. */
export const REALDAT_2_X3: RealDATConfig = { ...REALDAT_2_X2, upscale: 3 };
/** RealDAT-2 at x4. */
export const REALDAT_2_X4: RealDATConfig = { ...REALDAT_2_X2, upscale: 4 };

/** RealDAT-light at x2. */
export const REALDAT_LIGHT_X2: RealDATConfig = withFusion(DAT_LIGHT_X2);
/** RealDAT-light at x3. */
export const REALDAT_LIGHT_X3: RealDATConfig = { ...REALDAT_LIGHT_X2, upscale: 3 };
/** RealDAT-light at x4. */
export const REALDAT_LIGHT_X4: RealDATConfig = { ...REALDAT_LIGHT_X2, upscale: 4 };

/**
 * The groups, in order, that are preceded by a fusion block.
 * @throws Error when `fusionLayers` is none of its forms or names a group that is not there
 */
export function fusionGroups({ fusionLayers, depth }: Pick<RealDATConfig, "fusionLayers" | "depth">): number[] {
  if (fusionLayers === "all") return depth.map((_, group) => group);
  if (fusionLayers === "none") return [];
  const text = String(fusionLayers);
  if (!/^\d+(-\d+)*$/.test(text)) {
    throw new Error(`RealDAT: fusionLayers: expected "all", "none", an index or indices such as "0-2-4", got ${text}`);
  }
  const groups = [...new Set(text.split("-").map(Number))].sort((a, b) => a - b);
  const beyond = groups.find((group) => group >= depth.length);
  if (beyond !== undefined) {
    throw new Error(
      `RealDAT: fusionLayers: there is no group ${beyond}, the last of ${depth.length} is ${depth.length - 1}`,
    );
  }
  return groups;
}

/**
 * Checks a configuration and returns it.
 * @throws Error with one line that names the field
 */
export function checkRealDATConfig(config: RealDATConfig): RealDATConfig {
  checkConfig(config);
  const { embedDim, fusionNumHeads, fusionAttnRatio, fusionMlpRatio, clipDim } = config;
  const groups = fusionGroups(config);
  if (!(Number.isInteger(clipDim) && clipDim > 0))
    throw new Error(`RealDAT: clipDim: ${clipDim} is not a positive whole number`);
  if (groups.length === 0) return config;
  if (!(Number.isInteger(fusionNumHeads) && fusionNumHeads > 0 && embedDim % fusionNumHeads === 0)) {
    throw new Error(`RealDAT: fusionNumHeads: embedDim ${embedDim} does not divide into ${fusionNumHeads} heads`);
  }
  const width = Math.trunc(embedDim * fusionAttnRatio);
  if (!(width > 0 && width % fusionNumHeads === 0)) {
    throw new Error(
      `RealDAT: fusionAttnRatio: ${fusionAttnRatio} x ${embedDim} gives ${width} features, which do not divide into ${fusionNumHeads} heads`,
    );
  }
  if (!(Math.trunc(embedDim * fusionMlpRatio) > 0))
    throw new Error(`RealDAT: fusionMlpRatio: ${fusionMlpRatio} leaves no features`);
  return config;
}

/** Where the reference's fusion arguments go. */
const FUSION_NUMBERS = {
  fusion_num_heads: "fusionNumHeads",
  fusion_mlp_ratio: "fusionMlpRatio",
  fusion_attn_ratio: "fusionAttnRatio",
  fusion_attn_drop_rate: "fusionAttnDropRate",
  fusion_drop_rate: "fusionDropRate",
  clip_dim: "clipDim",
} as const;

/**
 * The configuration that the reference's constructor arguments describe (`embed_dim`, `fusion_layers`, ...), and `clip_dim`,
 * which the reference has as the number 512.
 * @throws Error with one line that names an argument that is unknown or has the wrong kind of value
 */
export function realDATConfigFromReference(args: Readonly<Record<string, unknown>>): RealDATConfig {
  const own: { -readonly [Field in keyof RealDATConfig]?: RealDATConfig[Field] } = {};
  const rest: Record<string, unknown> = {};
  const wrong = (name: string, expected: string, value: unknown): never => {
    throw new Error(`RealDAT: ${name}: expected ${expected}, got ${JSON.stringify(value)}`);
  };
  for (const [name, value] of Object.entries(args)) {
    if (name in FUSION_NUMBERS) {
      const field = FUSION_NUMBERS[name as keyof typeof FUSION_NUMBERS]; // just checked
      own[field] = typeof value === "number" ? value : wrong(name, "a number", value);
    } else if (name === "fusion_layers") {
      own.fusionLayers =
        typeof value === "number" || typeof value === "string" ? value : wrong(name, "a text or a number", value);
    } else if (name === "fusion_qkv_bias") {
      own.fusionQkvBias = typeof value === "boolean" ? value : wrong(name, "true or false", value);
    } else {
      rest[name] = value;
    }
  }
  return checkRealDATConfig({ ...withFusion(configFromReference(rest)), ...own });
}
