import { CLIP_PRESETS, type CLIPConfig, countCLIPParameters, SIGLIP_START, type VisionConfig } from "@deplsr/clip";

/** Which contrastive loss SRCLIP is trained with; SigLIP adds a trained bias to the model. */
export type ContrastiveKind = "clip" | "siglip";

/** Number of single degradations that the published SRCLIP tells apart: blur, two noises, JPEG, ringing. */
export const FINE_DEGRADATIONS = 5;

/** Everything that fixes an SrCLIP. */
export interface SrCLIPConfig {
  /** The CLIP whose weights stay as they are; its own `logitBiasStart` is not used. */
  readonly clip: CLIPConfig;
  readonly loss: ContrastiveKind;
}

/** Everything that fixes an SrCLIPV2. */
export interface SrCLIPV2Config extends SrCLIPConfig {
  /** Features for single degradations, one for each kind. */
  readonly fineDegradations: number;
}

/** Fills in the values of the published SRCLIP: five degradations, trained with SigLIP. */
export function srclipConfig(
  clip: CLIPConfig,
  { loss = "siglip", fineDegradations = FINE_DEGRADATIONS }: Partial<Omit<SrCLIPV2Config, "clip">> = {},
): SrCLIPV2Config {
  if (!(Number.isInteger(fineDegradations) && fineDegradations > 0)) {
    throw new RangeError(`SRCLIP config: fineDegradations is ${fineDegradations}, but must be a whole number above 0`);
  }
  return { clip, loss, fineDegradations };
}

/**
 * The configuration behind a model name of the reference: a CLIP preset, with `srclip_` or `srclipv2_` before it or not.
 *
 * @throws Error listing the known names.
 */
export function srclipPreset(name: string, options: Partial<Omit<SrCLIPV2Config, "clip">> = {}): SrCLIPV2Config {
  const clip = CLIP_PRESETS.get(name.replace(/^srclip(v2)?_/, ""));
  if (!clip) throw new Error(`SRCLIP: there is no model ${name}; known are ${[...CLIP_PRESETS.keys()].join(", ")}`);
  return srclipConfig(clip, options);
}

/** Where the trained logit scale and bias start: SigLIP's own values, or the scale of the CLIP (null) without a bias. */
export function logitStart(loss: ContrastiveKind): { readonly scale: number | null; readonly bias: number | null } {
  if (loss === "clip") return { scale: null, bias: null };
  return { scale: SIGLIP_START.logitScaleStart, bias: SIGLIP_START.logitBiasStart };
}

/** Numbers of parameters of an SRCLIP, a shared tensor counted once. */
export interface SrCLIPParameterCounts {
  /** The adaptor, its taps included. */
  readonly visualControl: number;
  readonly taps: number;
  /** Both for a model without the head for single degradations (V1) and for one with it. */
  readonly v1: number;
  readonly v2: number;
  /** What is trained in V2 once the CLIP is locked. */
  readonly v2Trainable: number;
}

/** Counts the parameters of a model without making it. */
export function countSrCLIPParameters({ clip, loss, fineDegradations }: SrCLIPV2Config): SrCLIPParameterCounts {
  const { vision, total } = countCLIPParameters({ ...clip, logitBiasStart: null });
  const taps = countTaps(clip.vision);
  const visualControl = vision + taps;
  const scalars = loss === "siglip" ? 2 : 1;
  const head = fineDegradations * (clip.embedDim * clip.embedDim + clip.embedDim);
  const v1 = total + visualControl + scalars;
  return { visualControl, taps, v1, v2: v1 + head, v2Trainable: visualControl + head + scalars };
}

/** Counts the parameters of a `FinetuneCLIP` without making it. */
export function countFinetuneCLIPParameters({ clip, fineDegradations }: Omit<SrCLIPV2Config, "loss">): number {
  const { embedDim: e } = clip;
  const layers: readonly (readonly [number, number])[] = [
    [e, 6 * e],
    [6 * e, 3 * e],
    [3 * e, 6 * e],
    [6 * e, e],
    [e, fineDegradations * e],
  ];
  const heads = layers.reduce((sum, [input, output]) => sum + (input + 1) * output, 0);
  return countCLIPParameters(clip).total + heads;
}

function countTaps({ width, layers }: VisionConfig): number {
  return layers * (width * width + width);
}
