import type { Command } from "./command.ts";
import { srclipFlags } from "./srclip-flags.ts";
import { type TrainFlags, trainFlags } from "./train-flags.ts";

/** `deplsr train srclip`. */
export const trainSrclip: Command<TrainFlags> = {
  command: "srclip",
  describe: "Train SRCLIP, which tells content and degradation of an image apart",
  options: (yargs) =>
    srclipFlags(trainFlags(yargs))
      .example("$0 train srclip --config options/train/train_srclip.yml", "The paper's recipe")
      .example("$0 train srclip --config my.yml --set lr=1e-4 seed=3", "The same with two values replaced"),
  processes: "share",
  run: async (flags, context) => (await import("../train/run-srclip.ts")).runTrainSrclip(flags, context),
};
