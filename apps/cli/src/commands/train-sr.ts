import { type Command, deviceFlags } from "./command.ts";
import type { TrainFlags } from "./train-srclip.ts";

/** `deplsr train sr`. */
export const trainSr: Command<TrainFlags> = {
  command: "sr",
  describe: "Train a super-resolution network, RealDAT on SRCLIP's features or DAT without",
  options: (yargs) =>
    deviceFlags(yargs)
      .option("config", { type: "string", demandOption: true, describe: "YAML file, see options/train" })
      .option("out", { type: "string", describe: "The run's folder; default runs/NAME" })
      .option("set", {
        type: "string",
        array: true,
        default: [],
        describe: "Replaces a value of the configuration: key=value",
      })
      .example("$0 train sr --config options/train/realdat-x4.yml", "The paper's recipe for x4")
      .example("$0 train sr --config my.yml --set train.total_iter=1000", "The same, shorter"),
  run: async (flags, context) => (await import("../train/run-sr.ts")).runTrainSr(flags, context),
};
