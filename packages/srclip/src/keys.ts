import { clipName } from "@deplsr/clip";
import type { FieldNames, LoadOptions, LoadReport, StateDict } from "@deplsr/nn";
import type { Tensor } from "@deplsr/tensor";
import type { SrCLIP } from "./srclip.ts";

/** The CLIP's tensors stand at the top of a FinetuneCLIP's files. */
export const FINETUNE_NAMES: FieldNames = { clip: "" };

/**
 * Loads a published SRCLIP file. Accepts the prefix `module.`, and the image tower under `visual.` beside `clip.visual.` (the
 * reference writes it twice), in place of it, or not at all. A bias of the logits inside of `clip.`, which SRCLIP does not use,
 * is left out.
 *
 * @throws StateDictError naming every tensor that is missing, unexpected or mis-shaped.
 */
export function loadSrCLIP(model: SrCLIP, entries: StateDict, options: Omit<LoadOptions, "rename"> = {}): LoadReport {
  return model.loadStateDict(underOwnNames(entries), options);
}

/** The same without the text tower, which goes, a quarter of the model: for one that is shown images only. */
export function loadImageSide(
  model: SrCLIP,
  entries: StateDict,
  options: Omit<LoadOptions, "rename"> = {},
): LoadReport {
  const texts = new Set(model.clip.text.parameters().values());
  const left = new Set([...model.parameters()].flatMap(([name, tensor]) => (texts.has(tensor) ? [name] : [])));
  model.clip.text.dispose();
  const wanted = new Map([...underOwnNames(entries)].filter(([name]) => !left.has(name)));
  return model.loadStateDict(wanted, { ...options, allowMissing: (name) => left.has(name) });
}

/** The entries of a published SRCLIP file as `loadSrCLIP` understands them. */
export function underOwnNames<T>(entries: ReadonlyMap<string, T>): Map<string, T> {
  const found = new Map<string, T>();
  const aliases = new Map<string, T>();
  for (const [original, entry] of entries) {
    const name = original.replace(/^module\./, "");
    const inside = name.startsWith("clip.") ? clipName(name.slice("clip.".length)) : undefined;
    if (name.startsWith("visual.")) aliases.set(`clip.${name}`, entry);
    else if (inside === undefined) found.set(name, entry);
    else if (inside !== null && inside !== "logit_bias") found.set(`clip.${inside}`, entry);
  }
  for (const [name, entry] of aliases) if (!found.has(name)) found.set(name, entry);
  return found;
}

/** A state dict as the reference writes it: `clip.visual.*` a second time under `visual.*`. */
export function withVisualAlias(state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const all = new Map(state);
  for (const [name, tensor] of state) {
    if (name.startsWith("clip.visual.")) all.set(name.slice("clip.".length), tensor);
  }
  return all;
}
