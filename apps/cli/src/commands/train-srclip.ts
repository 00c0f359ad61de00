import { type Command, type DeviceFlags, deviceFlags } from "./command.ts";

/** The flags of both trainings. */
export interface TrainFlags extends DeviceFlags {
  readonly config: string;
  readonly out: string | undefined;
  readonly set: string[];
}

/** `deplsr train srclip`. */
export const trainSrclip: Command<TrainFlags> = {
  command: "srclip",
  describe: "Train SRCLIP, which tells content and degradation of an image apart",
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
      .example("$0 train srclip --config options/train/srclip-vit-b-32.yml", "The paper's recipe")
      .example("$0 train srclip --config my.yml --set lr=1e-4 seed=3", "The same with two values replaced"),
  run: async (flags, context) => (await import("../train/run-srclip.ts")).runTrainSrclip(flags, context),
};
