import { join } from "node:path";
import { readConfig } from "../config/parse.ts";
import { srclipRun } from "../config/srclip.ts";
import { runSession } from "../train/session.ts";
import { prepareSrclip } from "../train/srclip.ts";
import { type Command, type DeviceFlags, deviceFlags, withDevice } from "./command.ts";

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
  run: async (flags, context) => {
    const { output } = context;
    const { config, warnings } = await readConfig(flags.config, srclipRun, flags.set);
    for (const warning of warnings) output.warn(warning);
    const folder = flags.out ?? join("runs", config.name);
    await withDevice(flags, context, async (device) => {
      const { training, skipped, model } = await prepareSrclip(device, config, output);
      output.line(`SRCLIP with ${model.parameterCount()} parameters; run folder ${folder}`);
      const result = await runSession({ training, folder, config, output });
      if (skipped() > 0) output.warn(`${skipped()} items of the data set were left out`);
      output.result({ ...result, skipped: skipped() });
    });
  },
};
