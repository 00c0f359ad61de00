import type { FieldNames } from "@deplsr/nn";

/** open_clip's names of the fields of a block. */
export const BLOCK_NAMES: FieldNames = { ln1: "ln_1", ln2: "ln_2", ls1: "ls_1", ls2: "ls_2" };

/** In open_clip's files the text tower's tensors stand at the top, beside `visual`. */
export const CLIP_NAMES: FieldNames = { text: "" };

/** Entries of published files that hold no tensor of the model. */
const EXTRAS: ReadonlySet<string> = new Set(["input_resolution", "context_length", "vocab_size", "attn_mask"]);

/**
 * The name in this model of an entry of a published file, or null for what is not of the model: without the `module.` of
 * parallel training and the `text.` of files with a text tower of their own.
 */
export function clipName(name: string): string | null {
  const plain = name.replace(/^module\./, "").replace(/^text\./, "");
  return EXTRAS.has(plain) ? null : plain;
}
