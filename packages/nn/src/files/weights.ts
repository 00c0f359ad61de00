import { FileFormatError, type FileTensor, quoted } from "@deplsr/tensor";
import type { TensorFile } from "./tensor-file.ts";

/** The weights of one network in a file. */
export interface Weights {
  /** Where in the file they are: `params_ema`; "" for its top. */
  readonly key: string;
  /** Tensors by their name in the network, without the `module.` of parallel training. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
}

/** Where training frameworks put a network's state dict, the average of the training first, as BasicSR's inference does. */
const KEYS = ["params_ema", "params", "state_dict", "model_state_dict", "model"];

/**
 * The state dict in a checkpoint that may hold several, or other tensors too (an optimizer's).
 *
 * @param key which one, `params`; by default the first of `params_ema`, `params`, `state_dict`, or else the whole file
 * @throws FileFormatError when there is none, or none under `key`, naming those that there are
 */
export function selectWeights({ tensors }: TensorFile, key?: string): Weights {
  const groups = new Map<string, Map<string, FileTensor>>();
  for (const [path, tensor] of tensors) {
    const slash = path.indexOf("/");
    const group = slash < 0 ? "" : path.slice(0, slash);
    const found = groups.get(group) ?? new Map<string, FileTensor>();
    groups.set(group, found.set(path.slice(slash + 1), tensor));
  }
  const [only] = groups.size === 1 ? groups.keys() : [];
  const chosen = key ?? KEYS.find((name) => groups.has(name)) ?? (groups.has("") ? "" : only);
  const weights = chosen === undefined ? undefined : groups.get(chosen);
  if (chosen === undefined || !weights) {
    const names = [...groups.keys()].map((name) => (name === "" ? "the top" : quoted(name)));
    const where = key === undefined ? "under a known name" : `under ${quoted(key)}`;
    throw new FileFormatError(`weights: there are none ${where}; tensors are under ${names.join(", ") || "none"}`);
  }
  return { key: chosen, tensors: withoutPrefix(weights) };
}

function withoutPrefix(tensors: ReadonlyMap<string, FileTensor>): Map<string, FileTensor> {
  const result = new Map<string, FileTensor>();
  for (const [original, tensor] of tensors) {
    const name = original.replace(/^module\./, "");
    if (result.has(name)) throw new FileFormatError(`weights: two tensors are named ${quoted(name)}`);
    result.set(name, { ...tensor, name });
  }
  return result;
}
