import { clipName } from "@deplsr/clip";
import type { FieldNames, LoadOptions, LoadReport, StateDict, StateEntry } from "@deplsr/nn";
import type { Tensor } from "@deplsr/tensor";
import type { SrCLIP } from "./srclip.ts";

/** The CLIP's tensors stand at the top of a FinetuneCLIP's files. */
export const FINETUNE_NAMES: FieldNames = { clip: "" };

/**
 * Loads a published SRCLIP file. Accepts the prefix `module.`, and the image tower under `visual.` beside `clip.visual.` (the
 * reference writes it twice), in place of it, or not at all.
 *
 * @throws StateDictError naming every tensor that is missing, unexpected or mis-shaped.
 */
export function loadSrCLIP(model: SrCLIP, entries: StateDict, options: Omit<LoadOptions, "rename"> = {}): LoadReport {
  const found = new Map<string, StateEntry>();
  const aliases = new Map<string, StateEntry>();
  for (const [original, entry] of entries) {
    const name = original.replace(/^module\./, "");
    const inside = name.startsWith("clip.") ? clipName(name.slice("clip.".length)) : undefined;
    if (name.startsWith("visual.")) aliases.set(`clip.${name}`, entry);
    else if (inside === undefined) found.set(name, entry);
    else if (inside !== null) found.set(`clip.${inside}`, entry);
  }
  for (const [name, entry] of aliases) if (!found.has(name)) found.set(name, entry);
  return model.loadStateDict(found, options);
}

/** A state dict as the reference writes it: `clip.visual.*` a second time under `visual.*`. */
export function withVisualAlias(state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const all = new Map(state);
  for (const [name, tensor] of state) {
    if (name.startsWith("clip.visual.")) all.set(name.slice("clip.".length), tensor);
  }
  return all;
}
