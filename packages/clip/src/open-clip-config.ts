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

const TOP_KEYS = ["embed_dim", "quick_gelu", "init_logit_scale", "init_logit_bias", "vision_cfg", "text_cfg"];

/** What other keys of open_clip's configurations have to be, if they are there: the parts they stand for do not exist here. */
type Fixed = Readonly<Record<string, string | number | boolean | null>>;

const BLOCK_FIXED: Fixed = {
  output_tokens: false,
  final_ln_after_pool: false,
  act_kwargs: null,
  norm_kwargs: null,
  block_type: "default",
  qk_norm: false,
  scaled_cosine_attn: false,
  scale_heads: false,
  scale_attn_inner: false,
  scale_attn: false,
  scale_fc: false,
};

const VISION_FIXED: Fixed = {
  ...BLOCK_FIXED,
  patch_dropout: 0,
  attentional_pool: false,
  no_ln_pre: false,
  pos_embed_type: "learnable",
  pool_type: "tok",
  timm_model_name: null,
};

const TEXT_FIXED: Fixed = {
  ...BLOCK_FIXED,
  embed_cls: false,
  pad_id: 0,
  no_causal_mask: false,
  pool_type: "argmax",
  proj_bias: false,
  proj_type: "linear",
  hf_tokenizer_name: null,
  tokenizer_mode: null,
  tokenizer_kwargs: null,
  hf_model_name: null,
};

const TOP_FIXED: Fixed = { nonscalar_logit_scale: false };

/**
 * Reads a model configuration in open_clip's JSON form, also where it stands under `model_cfg`, as in the
 * `open_clip_config.json` beside published weights.
 *
 * @throws Error naming the key that is not known, has the wrong type, or asks for a kind of model that is not this one.
 */
export function parseOpenClipConfig(value: unknown): CLIPConfig {
  const file = record("the configuration", value);
  const top = file.model_cfg === undefined ? file : record("model_cfg", file.model_cfg);
  for (const [key, entry] of Object.entries(top)) {
    // `custom_text` only says where the text tower's tensors stand in a file.
    if (!TOP_KEYS.includes(key) && key !== "custom_text") checkFixed(key, key, entry, TOP_FIXED, TOP_KEYS);
  }
  return clipConfig({
    ...optional("embedDim", number("embed_dim", top.embed_dim)),
    ...optional("quickGelu", flag("quick_gelu", top.quick_gelu)),
    ...optional("logitScaleStart", number("init_logit_scale", top.init_logit_scale)),
    ...optional("logitBiasStart", number("init_logit_bias", top.init_logit_bias)),
    vision: section("vision_cfg", top.vision_cfg, VISION_KEYS, VISION_FIXED),
    text: section("text_cfg", top.text_cfg, TEXT_KEYS, TEXT_FIXED),
  });
}

/** One tower's sizes under our names; values that are null are left to the defaults. */
function section<T>(name: string, value: unknown, keys: Keys<T>, fixed: Fixed): Partial<T> {
  const result: Partial<Record<keyof T, number>> = {};
  for (const [key, entry] of Object.entries(record(name, value))) {
    const ours = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (ours === undefined) checkFixed(`${name}.${key}`, key, entry, fixed, Object.keys(keys));
    else {
      const size = number(`${name}.${key}`, entry);
      if (size !== undefined) result[ours] = size;
    }
  }
  return result as Partial<T>; // every field of T is a number, or may be one
}

/** @throws Error unless the key is one of `fixed` and its value the one that stands there, or null. */
function checkFixed(path: string, key: string, value: unknown, fixed: Fixed, known: readonly string[]): void {
  if (!Object.hasOwn(fixed, key)) throw new Error(`CLIP config: ${path} is not known; known are ${known.join(", ")}`);
  if (value !== null && value !== fixed[key]) {
    const only = fixed[key] === null ? "none" : JSON.stringify(fixed[key]);
    throw new Error(`CLIP config: ${path} is ${JSON.stringify(value)}, but the CLIP here only has ${only}`);
  }
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
