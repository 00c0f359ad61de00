import type { TestFlags } from "../test/run.ts";
import { type Command, deviceFlags } from "./command.ts";
import { settingFlags } from "./train-flags.ts";

/** `deplsr test`: the original's `basicsr/test.py`. */
export const test: Command<TestFlags> = {
  command: "test",
  describe: "Enlarge the sets of an option file with its network, and measure the results",
  options: (yargs) =>
    settingFlags(deviceFlags(yargs))
      .option("config", {
        type: "string",
        alias: "opt",
        demandOption: true,
        describe: "YAML file, see options/test (-opt FILE also)",
      })
      .option("out", { type: "string", describe: "Where results go; default results/NAME" })
      .example("$0 test -opt options/test/test_RealDAT_x4.yml", "The paper's sets at x4")
      .example("$0 test -opt my.yml --set path.pretrain_network_g=realdat-x2", "With the model in the box"),
  processes: "share",
  run: async (flags, context) => (await import("../test/run.ts")).runTest(flags, context),
};
