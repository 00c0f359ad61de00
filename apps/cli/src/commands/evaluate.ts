import type { EvaluateFlags } from "../evaluate/run.ts";
import { type Command, deviceFlags } from "./command.ts";

/** `deplsr evaluate`: how well an SRCLIP recognises degradations. */
export const evaluate: Command<EvaluateFlags> = {
  command: "evaluate",
  describe: "Measure how well an SRCLIP recognises the five degradations",
  options: (yargs) =>
    deviceFlags(yargs)
      .option("checkpoint", {
        type: "string",
        demandOption: true,
        describe: "A run's folder, or one of its checkpoints",
      })
      .option("data", { type: "string", demandOption: true, describe: "TSV with filepath, title ... title7" })
      .option("template", { type: "string", default: "A photo with {prompt}", describe: "What surrounds a prompt" })
      .option("levels", {
        choices: ["original", "training"] as const,
        default: "original" as const,
        describe: "Levels in prompts as the original writes them (15) or as the data set does (15.0)",
      })
      .option("fit", {
        choices: ["squash", "crop"] as const,
        default: "squash" as const,
        describe: "Squash an image to the network's square, or take the middle at native resolution",
      })
      .option("batch", { type: "number", default: 16, describe: "Images at a time" })
      .example("$0 evaluate --checkpoint runs/train_srclip --data val.tsv", "The paper's protocol")
      .example(
        "$0 evaluate --checkpoint runs/demo/srclip --data runs/demo/data/heldout.tsv --template '{prompt}' --levels training --fit crop",
        "The demo's",
      ),
  run: async (flags, context) => (await import("../evaluate/run.ts")).runEvaluate(flags, context),
};
