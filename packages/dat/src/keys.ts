import type { FieldNames } from "@deplsr/nn";
import {
  checkConfig,
  DAT_X2,
  type DATConfig,
  type GlobalResidual,
  type ResiConnection,
  type Upsampler,
} from "./config.ts";

/**
 * The reference implementation's names. Parameters follow the fields in snake_case, except those below.
 * @see https://github.com/zhengchen1999/DAT
 */

/** The reference keeps the head's convolutions on the model itself. */
export const DAT_NAMES: FieldNames = { beforeGroups: "before_RG.1", head: "" };
export const UPSAMPLE_NAMES: FieldNames = { steps: "upsample" };
/** The reference holds these parts in sequences that also count the functions between them. */
export const DEPTHWISE_NAMES: FieldNames = { convolution: "0", norm: "1" };
export const CHANNEL_INTERACTION_NAMES: FieldNames = { reduce: "1", norm: "2", expand: "4" };
export const SPATIAL_INTERACTION_NAMES: FieldNames = { reduce: "0", norm: "1", expand: "3" };
export const BOTTLENECK_NAMES: FieldNames = { reduce: "0", middle: "2", expand: "4" };
export const POSITION_LAYER_NAMES: FieldNames = { norm: "0", linear: "2" };
/** The gate of the feed-forward part has a module of its own in the reference. */
export const GATE_NAMES: FieldNames = { norm: "norm", convolution: "conv" };

/** What the reference's constructor takes where its caller says nothing. */
const REFERENCE_DEFAULTS: DATConfig = {
  ...DAT_X2,
  splitSize: [2, 4],
  depth: [2, 2, 2, 2],
  numHeads: [2, 2, 2, 2],
  expansionFactor: 4,
};

/** Where the value of one reference argument goes, and how it is read. */
type Reader = (value: unknown, name: string) => Partial<DATConfig>;

const wrong = (name: string, expected: string, value: unknown): never => {
  throw new Error(`DAT: ${name}: expected ${expected}, got ${JSON.stringify(value)}`);
};

function numberOf(value: unknown, name: string): number {
  return typeof value === "number" ? value : wrong(name, "a number", value);
}

function numbersOf(value: unknown, name: string): readonly number[] {
  if (Array.isArray(value) && value.every((item) => typeof item === "number")) return value;
  return wrong(name, "a list of numbers", value);
}

function pairOf(value: unknown, name: string): readonly [number, number] {
  const [first, second, ...rest] = numbersOf(value, name);
  if (first === undefined || second === undefined || rest.length > 0) return wrong(name, "two numbers", value);
  return [first, second];
}

function booleanOf(value: unknown, name: string): boolean {
  return typeof value === "boolean" ? value : wrong(name, "true or false", value);
}

function choiceOf<T extends string>(choices: readonly T[]): (value: unknown, name: string) => T {
  return (value, name) => choices.find((choice) => choice === value) ?? wrong(name, choices.join(" or "), value);
}

const upsamplerOf = choiceOf<Upsampler>(["pixelshuffle", "pixelshuffledirect"]);
const residualOf = choiceOf<GlobalResidual>(["none", "bicubic"]);
const connectionOf = choiceOf<ResiConnection>(["1conv", "3conv"]);

const READERS: Readonly<Record<string, Reader>> = {
  img_size: (value, name) => ({ imgSize: numberOf(value, name) }),
  in_chans: (value, name) => ({ inChannels: numberOf(value, name) }),
  img_range: (value, name) => ({ imgRange: numberOf(value, name) }),
  embed_dim: (value, name) => ({ embedDim: numberOf(value, name) }),
  depth: (value, name) => ({ depth: numbersOf(value, name) }),
  num_heads: (value, name) => ({ numHeads: numbersOf(value, name) }),
  split_size: (value, name) => ({ splitSize: pairOf(value, name) }),
  expansion_factor: (value, name) => ({ expansionFactor: numberOf(value, name) }),
  qkv_bias: (value, name) => ({ qkvBias: booleanOf(value, name) }),
  qk_scale: (value, name) => ({ qkScale: value === null ? null : numberOf(value, name) }),
  drop_rate: (value, name) => ({ dropRate: numberOf(value, name) }),
  attn_drop_rate: (value, name) => ({ attnDropRate: numberOf(value, name) }),
  drop_path_rate: (value, name) => ({ dropPathRate: numberOf(value, name) }),
  num_feat: (value, name) => ({ numFeatures: numberOf(value, name) }),
  upscale: (value, name) => ({ upscale: numberOf(value, name) }),
  upsampler: (value, name) => ({ upsampler: upsamplerOf(value, name) }),
  resi_connection: (value, name) => ({ resiConnection: connectionOf(value, name) }),
  global_residual: (value, name) => ({ globalResidual: residualOf(value, name) }),
  // Recomputing activations in the backward pass changes no number.
  use_chk: (value, name) => (booleanOf(value, name) ? {} : {}),
  layer_norm_eps: (value, name) => ({ layerNormEps: numberOf(value, name) }),
};

/**
 * The configuration that the reference's constructor arguments describe (`embed_dim`, `split_size`, ...); what is left out
 * has the reference's default.
 * @throws Error with one line that names an argument that is unknown or has the wrong kind of value
 */
export function configFromReference(args: Readonly<Record<string, unknown>>): DATConfig {
  let config = REFERENCE_DEFAULTS;
  for (const [name, value] of Object.entries(args)) {
    const read = READERS[name];
    if (!read) throw new Error(`DAT: unknown argument ${name}: expected one of ${Object.keys(READERS).join(", ")}`);
    config = { ...config, ...read(value, name) };
  }
  return checkConfig(config);
}
