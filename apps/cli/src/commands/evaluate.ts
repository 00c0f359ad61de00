import type { EvaluateFlags } from "../evaluate/run.ts";
import { SHIPPED_SRCLIP } from "../networks/shipped.ts";
import { type Command, deviceFlags } from "./command.ts";

/** `deplsr evaluate`: how well an SRCLIP recognises degradations. */
export const evaluate: Command<EvaluateFlags> = {
  command: "evaluate",
  describe: "Measure how well an SRCLIP recognises the five degradations",
  options: (yargs) =>
    deviceFlags(yargs)
      .option("checkpoint", {
        type: "string",
        default: SHIPPED_SRCLIP,
        describe: "A run's folder, one of its checkpoints, a file, or the name of a model in the box",
      })
      .option("data", { type: "string", demandOption: true, describe: "TSV with filepath, title ... title7" })
      .option("template", {
        type: "string",
        describe: "What surrounds a prompt; default as in its training, of other files A photo with {prompt}",
      })
      .option("levels", {
        choices: ["original", "training"] as const,
        describe:
          "Levels in prompts as the original writes them (15) or as the data set does (15.0); default as in its training, of other files original",
      })
      .option("fit", {
        choices: ["squash", "crop"] as const,
        describe:
          "Squash an image to the network's square, or take the middle at native resolution; default as in its training, of other files squash",
      })
      .option("batch", { type: "number", default: 16, describe: "Images at a time" })
      .option("out", {
        type: "string",
        describe: "Folder for answers.tsv, every answer with its probability, and confusion_blur.csv ...",
      })
      .option("overwrite", { type: "boolean", default: false, describe: "Replace those files where they are" })
      .example("$0 evaluate --checkpoint runs/train_srclip --data val.tsv", "The paper's protocol")
      .example(
        "$0 evaluate --data data/degraded.tsv",
        "The one in the box on images of yours that deplsr degrade has damaged",
      )
      .example("$0 evaluate --data val.tsv --out judged/", "Also which images it judged wrongly, as files"),
  processes: "share",
  run: async (flags, context) => (await import("../evaluate/run.ts")).runEvaluate(flags, context),
};
