import type { ClassifyFlags } from "../diagnose/classify.ts";
import { type Command, deviceFlags, srclipFlag } from "./command.ts";

/** `deplsr classify`: which of some texts fits a photograph best. */
export const classify: Command<ClassifyFlags> = {
  command: "classify <image>",
  describe: "Say which of some texts fits a photograph best, as the original's demo.py",
  options: (yargs) =>
    srclipFlag(deviceFlags(yargs))
      .positional("image", { type: "string", demandOption: true, describe: "A photograph, or - for stdin" })
      .option("prompts", { type: "string", array: true, demandOption: true, describe: "The texts" })
      .option("feature", {
        choices: ["degradation", "content", "blur", "gaussian", "poisson", "jpeg", "ringing"] as const,
        default: "degradation" as const,
        describe: "What of the photograph is compared: how it is degraded, what it shows, or one kind of degradation",
      })
      .example(
        '$0 classify photo.jpg --feature jpeg --prompts "jpeg with quality factor:30.0" "jpeg with quality factor:90.0"',
        "How strongly it was compressed",
      ),
  run: async (flags, context) => (await import("../diagnose/classify.ts")).runClassify(flags, context),
};
