import { CLIP_PRESETS, type CLIPConfig, SIGLIP_START } from "@deplsr/clip";

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

/** Which of the models, and everything that fixes it. */
export type SrCLIPDescription =
  | { readonly model: "SrCLIP"; readonly config: SrCLIPConfig }
  | { readonly model: "SrCLIPV2" | "FinetuneCLIP"; readonly config: SrCLIPV2Config };

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
