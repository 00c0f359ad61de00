import { type CLIPConfig, clipConfig, type TextConfig, type VisionConfig } from "./config.ts";

type Keys<T> = Readonly<Record<string, keyof T>>;

const VISION_KEYS: Keys<VisionConfig> = {
  image_size: "imageSize",
  patch_size: "patchSize",
  width: "width",
  layers: "layers",
  head_width: "headWidth",
  mlp_ratio: "mlpRatio",
  ls_init_value: "layerScale",
};

const TEXT_KEYS: Keys<TextConfig> = {
  context_length: "contextLength",
  vocab_size: "vocabSize",
  width: "width",
  heads: "heads",
  layers: "layers",
  mlp_ratio: "mlpRatio",
  ls_init_value: "layerScale",
};

const TOP_KEYS = [
  "embed_dim",
  "quick_gelu",
  "custom_text",
  "init_logit_scale",
  "init_logit_bias",
  "vision_cfg",
  "text_cfg",
];

/**
 * Reads a model configuration in open_clip's JSON form.
 *
 * @throws Error naming the key that is not known or not a number; it stands for a kind of model that is not this one.
 */
export function parseOpenClipConfig(value: unknown): CLIPConfig {
  const top = record("the configuration", value);
  for (const key of Object.keys(top)) if (!TOP_KEYS.includes(key)) throw unknownKey(key, TOP_KEYS);
  return clipConfig({
    ...optional("embedDim", number("embed_dim", top.embed_dim)),
    ...optional("quickGelu", flag("quick_gelu", top.quick_gelu)),
    ...optional("logitScaleStart", number("init_logit_scale", top.init_logit_scale)),
    ...optional("logitBiasStart", number("init_logit_bias", top.init_logit_bias)),
    vision: section("vision_cfg", top.vision_cfg, VISION_KEYS),
    text: section("text_cfg", top.text_cfg, TEXT_KEYS),
  });
}

/** One tower's sizes under our names; values that are null are left to the defaults. */
function section<T>(name: string, value: unknown, keys: Keys<T>): Partial<T> {
  const result: Partial<Record<keyof T, number>> = {};
  for (const [key, entry] of Object.entries(record(name, value))) {
    const ours = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (ours === undefined) throw unknownKey(`${name}.${key}`, Object.keys(keys));
    const size = number(`${name}.${key}`, entry);
    if (size !== undefined) result[ours] = size;
  }
  return result as Partial<T>; // every field of T is a number, or may be one
}

function record(name: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`CLIP config: ${name} must be an object, got ${JSON.stringify(value)}`);
  }
  return value as Record<string, unknown>;
}

function number(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number") throw new Error(`CLIP config: ${name} must be a number, got ${JSON.stringify(value)}`);
  return value;
}

function flag(name: string, value: unknown): boolean | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "boolean")
    throw new Error(`CLIP config: ${name} must be true or false, got ${JSON.stringify(value)}`);
  return value;
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}

function unknownKey(key: string, known: readonly string[]): Error {
  return new Error(`CLIP config: ${key} is not known; known are ${known.join(", ")}`);
}
