import { join } from "node:path";
import { readConfig } from "../config/parse.ts";
import { srRun } from "../config/sr.ts";
import { runSession } from "../train/session.ts";
import { prepareSr } from "../train/sr.ts";
import { type Command, deviceFlags, withDevice } from "./command.ts";
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
  run: async (flags, context) => {
    const { output } = context;
    const { config, warnings } = await readConfig(flags.config, srRun, flags.set);
    for (const warning of warnings) output.warn(warning);
    const folder = flags.out ?? join("runs", config.name);
    await withDevice(flags, context, async (device) => {
      const { training, skipped, network } = await prepareSr(device, config, folder, output);
      output.line(`${config.network_g.type} with ${network.module.parameterCount()} parameters; run folder ${folder}`);
      const result = await runSession({ training, folder, config, output });
      if (skipped() > 0) output.warn(`${skipped()} items of the data set were left out`);
      output.result({ ...result, skipped: skipped() });
    });
  },
};
