/** Sizes of the image tower, a vision transformer. */
export interface VisionConfig {
  /** Side of the images in pixels. */
  readonly imageSize: number;
  /** Side of a patch in pixels; each patch is a token. */
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  /** Channels of an attention head; there are width / headWidth heads. */
  readonly headWidth: number;
  /** Hidden width of the feed-forward layers over `width`. */
  readonly mlpRatio: number;
  /** Start value of a learned scale on every residual branch, or null for none. */
  readonly layerScale: number | null;
}

/** Sizes of the text tower, a causal transformer. */
export interface TextConfig {
  /** Most tokens in a text. */
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  readonly mlpRatio: number;
  readonly layerScale: number | null;
  /**
   * The ids of the tokens that there are vectors for, ascending; all of the vocabulary where it is left out. A tower that was trained on the
   * captions of degradations alone has learned nothing of other words, and its table of vectors is most of its size.
   */
  readonly tokens?: readonly number[];
}

/** Sizes of a CLIP model. */
export interface CLIPConfig {
  /** Width of the features that both towers end in. */
  readonly embedDim: number;
  /** `x·σ(1.702x)` for the activation instead of the exact GELU; OpenAI's own weights need it. */
  readonly quickGelu: boolean;
  /** Start of the trained logarithm of the factor on the logits: ln(1/0.07), or ln 10 for the SigLIP loss. */
  readonly logitScaleStart: number;
  /** Start of a trained scalar added to the logits (−10 for the SigLIP loss), or null for none. */
  readonly logitBiasStart: number | null;
  readonly vision: VisionConfig;
  readonly text: TextConfig;
}

const VISION_DEFAULTS: VisionConfig = {
  imageSize: 224,
  patchSize: 16,
  width: 768,
  layers: 12,
  headWidth: 64,
  mlpRatio: 4,
  layerScale: null,
};

const TEXT_DEFAULTS: TextConfig = {
  contextLength: 77,
  vocabSize: 49408,
  width: 512,
  heads: 8,
  layers: 12,
  mlpRatio: 4,
  layerScale: null,
};

/** Starting value of the logarithm of the logit scale, a temperature of 0.07. */
export const LOGIT_SCALE_START: number = Math.log(1 / 0.07);

/** The starts of scale and bias with the SigLIP loss. @see https://arxiv.org/abs/2303.15343 section 3.1 */
export const SIGLIP_START: { readonly logitScaleStart: number; readonly logitBiasStart: number } = {
  logitScaleStart: Math.log(10),
  logitBiasStart: -10,
};

/** Sizes that differ from the defaults, which are those of ViT-B-16. */
export interface PartialCLIPConfig {
  readonly embedDim?: number;
  readonly quickGelu?: boolean;
  readonly logitScaleStart?: number;
  readonly logitBiasStart?: number | null;
  readonly vision?: Partial<VisionConfig>;
  readonly text?: Partial<TextConfig>;
}

/** Fills the defaults in and checks that the sizes fit together. @throws RangeError naming the size that does not. */
export function clipConfig(partial: PartialCLIPConfig): CLIPConfig {
  const vision = { ...VISION_DEFAULTS, ...partial.vision };
  const text = { ...TEXT_DEFAULTS, ...partial.text };
  const { embedDim = 512, quickGelu = false, logitScaleStart = LOGIT_SCALE_START, logitBiasStart = null } = partial;
  const positive = { embedDim, ...prefixed("vision", vision), ...prefixed("text", text) };
  for (const [name, value] of Object.entries(positive)) {
    const whole = !name.endsWith("mlpRatio");
    if (!(value > 0) || (whole && !Number.isInteger(value))) {
      throw new RangeError(`CLIP config: ${name} is ${value}, but must be a ${whole ? "whole " : ""}number above 0`);
    }
  }
  if (vision.imageSize % vision.patchSize !== 0) {
    throw new RangeError(`CLIP config: patch size ${vision.patchSize} does not divide image size ${vision.imageSize}`);
  }
  if (vision.width % vision.headWidth !== 0) {
    throw new RangeError(`CLIP config: head width ${vision.headWidth} does not divide vision width ${vision.width}`);
  }
  if (text.width % text.heads !== 0) {
    throw new RangeError(`CLIP config: ${text.heads} heads do not divide text width ${text.width}`);
  }
  checkTokens(text);
  return { embedDim, quickGelu, logitScaleStart, logitBiasStart, vision, text };
}

function checkTokens({ tokens, vocabSize }: TextConfig): void {
  const wrong = tokens?.findIndex(
    (id, i) => !Number.isInteger(id) || id < 0 || id >= vocabSize || id <= (tokens[i - 1] ?? -1),
  );
  if (wrong === undefined || (wrong < 0 && tokens!.length > 0)) return;
  throw new RangeError(
    `CLIP config: text.tokens must be ids from 0 to ${vocabSize - 1}, ascending, but ${wrong < 0 ? "there are none" : `number ${wrong} is ${tokens![wrong]}`}`,
  );
}

function prefixed(tower: string, config: VisionConfig | TextConfig): Record<string, number> {
  const sizes = Object.entries(config).filter(([name]) => name !== "layerScale" && name !== "tokens");
  return Object.fromEntries(sizes.map(([name, value]) => [`${tower}.${name}`, value]));
}

const VIT_L: PartialCLIPConfig = {
  embedDim: 768,
  vision: { patchSize: 14, width: 1024, layers: 24 },
  text: { width: 768, heads: 12 },
};

export const VIT_B_32: CLIPConfig = clipConfig({ vision: { patchSize: 32 } });
export const VIT_B_16: CLIPConfig = clipConfig({});
export const VIT_L_14: CLIPConfig = clipConfig(VIT_L);
export const VIT_L_14_336: CLIPConfig = clipConfig({ ...VIT_L, vision: { ...VIT_L.vision, imageSize: 336 } });
export const VIT_H_14: CLIPConfig = clipConfig({
  embedDim: 1024,
  vision: { patchSize: 14, width: 1280, layers: 32, headWidth: 80 },
  text: { width: 1024, heads: 16, layers: 24 },
});

/** The published models by their open_clip names. The weights of OpenAI and some others need the `-quickgelu` form. */
export const CLIP_PRESETS: ReadonlyMap<string, CLIPConfig> = new Map(
  Object.entries({
    "ViT-B-32": VIT_B_32,
    "ViT-B-16": VIT_B_16,
    "ViT-L-14": VIT_L_14,
    "ViT-L-14-336": VIT_L_14_336,
    "ViT-H-14": VIT_H_14,
  }).flatMap(([name, config]) => [
    [name, config],
    [`${name}-quickgelu`, { ...config, quickGelu: true }],
  ]),
);

/** The names that `clipPreset` takes. */
export function listModels(): string[] {
  return [...CLIP_PRESETS.keys()];
}

/** The configuration of a published model by its open_clip name: `ViT-B-32` or `ViT-B/32`. @throws Error listing the known names */
export function clipPreset(name: string): CLIPConfig {
  const preset = CLIP_PRESETS.get(name.replaceAll("/", "-"));
  if (!preset) throw new Error(`CLIP: there is no model ${JSON.stringify(name)}; known are ${listModels().join(", ")}`);
  return preset;
}
