import { changedEntry, type LoadOptions, type LoadReport, type StateDict, type StateEntry } from "@deplsr/nn";
import { scope, type Tensor } from "@deplsr/tensor";
import { clipName } from "./keys.ts";
import type { CLIP } from "./model.ts";
import { resizeImagePositions, resizeTextPositions } from "./position.ts";

/**
 * Loads the tensors of a published CLIP file into a model: names as in open_clip, with or without the prefixes `module.` and
 * `text.`. Positional embeddings of another image size or context length are resized; a bias that the file lacks becomes 0.
 *
 * @throws StateDictError naming every tensor that is missing, unexpected or mis-shaped.
 */
export function loadCLIP(model: CLIP, entries: StateDict, options: Omit<LoadOptions, "rename"> = {}): LoadReport {
  const renamed = new Map<string, StateEntry>();
  for (const [original, entry] of entries) {
    const name = clipName(original);
    if (name !== null) renamed.set(name, entry);
  }
  return scope(() => {
    const { vision, text } = model.config;
    const grid = vision.imageSize / vision.patchSize;
    const fit = (name: string, rows: number, resize: (embedding: Tensor) => Tensor): void => {
      const entry = renamed.get(name);
      const [found, width = 0] = entry?.shape ?? [];
      if (entry?.shape.length !== 2 || found === rows) return;
      renamed.set(name, changedEntry(entry, model.logitScale.device, [rows, width], resize));
    };
    fit("visual.positional_embedding", 1 + grid * grid, (x) => resizeImagePositions(x, grid));
    fit("positional_embedding", text.contextLength, (x) => resizeTextPositions(x, text.contextLength));
    if (model.logitBias && !renamed.has("logit_bias")) {
      renamed.set("logit_bias", model.logitBias.device.zeros([]));
    }
    return model.loadStateDict(renamed, options);
  });
}
