import type { DiagnoseFlags } from "../diagnose/run.ts";
import { SHIPPED_SRCLIP } from "../networks/shipped.ts";
import { type Command, deviceFlags, photographs } from "./command.ts";

/** `deplsr diagnose`: what is wrong with photographs. */
export const diagnose: Command<DiagnoseFlags> = {
  command: "diagnose <images..>",
  describe: "Say what is wrong with photographs: how blurred, noisy, compressed and ringing they are",
  options: (yargs) =>
    photographs(deviceFlags(yargs))
      .option("recursive", { alias: "r", type: "boolean", default: false, describe: "Also the sub-folders of folders" })
      .option("srclip", {
        type: "string",
        default: SHIPPED_SRCLIP,
        describe: "The SRCLIP: a run's folder, a file, or the name of a model in the box",
      })
      .option("all", {
        type: "boolean",
        default: false,
        describe: "Every level with its probability, not the likeliest alone",
      })
      .example("$0 diagnose photo.jpg", "The likeliest level of each of the five degradations")
      .example("$0 diagnose photos/ --json", "The same with the probabilities of all levels, for a script"),
  run: async (flags, context) => (await import("../diagnose/run.ts")).runDiagnose(flags, context),
};
