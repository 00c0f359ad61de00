import { type CLIPConfig, clipName, type DetectCLIPOptions, detectCLIP } from "@deplsr/clip";
import { checkShapes, type StateShapes } from "@deplsr/nn";
import { underOwnNames } from "./keys.ts";
import { type ContrastiveKind, type SrCLIPDescription, type SrCLIPV2Config, srclipConfig } from "./srclip-config.ts";
import { srclipShapes } from "./srclip-state.ts";

/**
 * Which of SrCLIP, SrCLIPV2 and FinetuneCLIP a state dict belongs to, and its configuration, from names and shapes alone; null
 * for another network. Names may be prefixed and doubled as in what `loadSrCLIP` and `loadCLIP` accept.
 *
 * What shapes do not tell is as `detectCLIP` says. The loss is SigLIP where there is a trained bias of the logits: files of the
 * reference, whose SRCLIP has none, say CLIP whatever they were trained with, which changes no feature.
 *
 * @throws Error with one line that names what differs, when the names are one of these models' but do not fit together
 */
export function detectSrCLIP(shapes: StateShapes, options: DetectCLIPOptions = {}): SrCLIPDescription | null {
  return detectControlled(underOwnNames(shapes), options) ?? detectFinetuned(renamed(shapes, clipName), options);
}

function detectControlled(shapes: StateShapes, options: DetectCLIPOptions): SrCLIPDescription | null {
  if (!shapes.has("visual_control.class_embedding")) return null;
  const ofClip = renamed(shapes, (name) => (name.startsWith("clip.") ? name.slice("clip.".length) : null));
  const clip = detectCLIP(ofClip, options);
  if (!clip) return null;
  const loss = shapes.has("logit_bias") ? "siglip" : "clip";
  const model = shapes.has("out_linear.weight") ? "SrCLIPV2" : "SrCLIP";
  return checked(
    shapes,
    model === "SrCLIP" ? { model, config: { clip, loss } } : { model, config: withHead(shapes, clip, loss) },
  );
}

function detectFinetuned(shapes: StateShapes, options: DetectCLIPOptions): SrCLIPDescription | null {
  if (!shapes.has("fine_linear.weight")) return null;
  const ofClip = renamed(shapes, (name) => (/^(fine\d?|out)_linear\./.test(name) ? null : name));
  const clip = detectCLIP(ofClip, options);
  if (!clip) return null;
  const loss = clip.logitBiasStart === null ? "clip" : "siglip";
  return checked(shapes, { model: "FinetuneCLIP", config: withHead(shapes, clip, loss) });
}

function withHead(shapes: StateShapes, clip: CLIPConfig, loss: ContrastiveKind): SrCLIPV2Config {
  const width = shapes.get("out_linear.weight")?.[0] ?? 0;
  return srclipConfig(clip, { loss, fineDegradations: Math.max(1, Math.round(width / clip.embedDim)) });
}

function checked(shapes: StateShapes, description: SrCLIPDescription): SrCLIPDescription {
  const expected = Array.from(srclipShapes(description), ([name, shape]) => ({ name, shape }));
  checkShapes(description.model, shapes, expected);
  return description;
}

function renamed(shapes: StateShapes, rename: (name: string) => string | null): StateShapes {
  const found = new Map<string, readonly number[]>();
  for (const [original, shape] of shapes) {
    const name = rename(original);
    if (name !== null) found.set(name, shape);
  }
  return found;
}
