import type { Command } from "./command.ts";
import { type TrainFlags, trainFlags } from "./train-flags.ts";

/** `deplsr train sr`. */
export const trainSr: Command<TrainFlags> = {
  command: "sr",
  describe: "Train a super-resolution network, RealDAT on SRCLIP's features or DAT without",
  options: (yargs) =>
    trainFlags(yargs)
      .example("$0 train sr --config options/train/train_RealDAT_x4.yml", "The paper's recipe for x4")
      .example("$0 train sr --config my.yml --set train.total_iter=1000", "The same, shorter"),
  processes: "share",
  run: async (flags, context) => (await import("../train/run-sr.ts")).runTrainSr(flags, context),
};
