/** The flags of the original's SRCLIP training (spec/srclip.md, 7): each sets the key of its name in the configuration. */
import type { Argv, Options } from "yargs";

/** How a flag's words become a value: YAML, as they are, several in YAML, or whether the flag is there. */
export type Kind = "value" | "text" | "list" | "switch";

/** By name, with dashes. */
export const SRCLIP_FLAGS: Readonly<Record<string, [kind: Kind, describe: string]>> = {
  name: ["text", "The run's name"],
  model: ["text", "A preset of open_clip"],
  pretrained: ["text", "CLIP weights to start from"],
  "self-contained": ["switch", "Checkpoints hold the frozen CLIP too, in place of its file's name and hash"],
  "train-data": ["text", "TSV of images and texts"],
  "val-data": ["text", "The same, to validate with"],
  "dataset-type": ["text", "What train-data is; auto: a TSV"],
  "batch-size": ["value", "Images of a batch"],
  "accum-freq": ["value", "Batches of a step"],
  epochs: ["value", "Instead of the configuration's epochs or steps"],
  lr: ["value", "Learning rate"],
  "lr-scheduler": ["text", "cosine, const or const-cooldown"],
  "epochs-cooldown": ["value", "Epochs in which const-cooldown falls"],
  "lr-cooldown-power": ["value", "Along which power"],
  "lr-cooldown-end": ["value", "To which rate"],
  warmup: ["value", "Steps in which the rate rises"],
  wd: ["value", "Weight decay"],
  beta1: ["value", "Of AdamW"],
  beta2: ["value", "Of AdamW"],
  eps: ["value", "Of AdamW"],
  "grad-clip-norm": ["value", "Longest gradient"],
  siglip: ["switch", "The sigmoid loss; --no-siglip: cross-entropy"],
  "loss-weight": ["list", "Of content, degradation and fine degradations"],
  seed: ["value", "What random numbers follow from"],
  "save-frequency": ["value", "Steps between checkpoints (epochs in the original)"],
  "save-most-recent": ["switch", "A checkpoint after each epoch as well, until the next one"],
  "delete-previous-checkpoint": ["switch", "Keeps no other than the latest checkpoint"],
  "val-frequency": ["value", "Steps between validations (epochs in the original)"],
  "log-every-n-steps": ["value", "Steps between lines of the log"],
  "grad-checkpointing": ["switch", "Recomputes blocks: less memory, more time"],
  "force-image-size": ["value", "Side of the model's square"],
  "force-quick-gelu": ["switch", "The activation of the first CLIPs"],
  precision: ["text", "All is computed in fp32"],
  workers: ["value", "Images decoded at a time"],
  logs: ["text", "The folder of runs"],
  da: ["switch", "Of the original, without effect"],
  crop: ["switch", "Of the original, without effect"],
};

/** Adds them, with dashes or underscores. */
export function srclipFlags<T>(yargs: Argv<T>): Argv<T> {
  return Object.entries(SRCLIP_FLAGS).reduce((current, [name, [kind, describe]]) => {
    const options: Options = {
      describe,
      group: "Values of the configuration:",
      ...(kind === "switch" ? { type: "boolean" } : { type: "string" }),
      ...(kind === "list" ? { array: true } : {}),
      ...(name.includes("-") ? { alias: keyOf(name) } : {}),
    };
    return current.option(name, options) as Argv<T>;
  }, yargs);
}

/** The key of the configuration that a flag sets. */
export function keyOf(flag: string): string {
  return flag.replaceAll("-", "_");
}
