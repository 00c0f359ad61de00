import type { DiagnoseFlags } from "../diagnose/run.ts";
import { type Command, deviceFlags, photographs, srclipFlag } from "./command.ts";

/** `deplsr diagnose`: what is wrong with photographs. */
export const diagnose: Command<DiagnoseFlags> = {
  command: "diagnose <images..>",
  describe: "Say what is wrong with photographs: how blurred, noisy, compressed and ringing they are",
  options: (yargs) =>
    srclipFlag(photographs(deviceFlags(yargs)))
      .option("recursive", { alias: "r", type: "boolean", default: false, describe: "Also the sub-folders of folders" })
      .option("all", {
        type: "boolean",
        default: false,
        describe: "Every level with its probability, not the likeliest alone",
      })
      .example("$0 diagnose photo.jpg", "The likeliest level of each of the five degradations")
      .example("$0 diagnose photos/ --json", "The same with the probabilities of all levels, for a script"),
  run: async (flags, context) => (await import("../diagnose/run.ts")).runDiagnose(flags, context),
};
