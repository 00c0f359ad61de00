import { join } from "node:path";
import type { DemoFlags } from "../demo/run.ts";
import { type Command, deviceFlags } from "./command.ts";

/** `deplsr demo`: everything once, on photographs that come with the package. */
export const demo: Command<DemoFlags> = {
  command: "demo [photo]",
  describe: "The whole method in a few minutes: degrade, train, recognise, enlarge, report",
  options: (yargs) =>
    deviceFlags(yargs)
      .positional("photo", { type: "string", describe: "A photograph of yours to enlarge as well" })
      .option("out", { type: "string", default: join("runs", "demo"), describe: "Where everything goes" })
      .option("steps", { type: "number", describe: "Steps of each training; more take longer and do better" })
      .option("seed", { type: "number", default: 1, describe: "Another seed gives other crops and weights" })
      .example("$0 demo", "Ten photographs that come along, a report in runs/demo/report.html")
      .example("$0 demo holiday.jpg --steps 2000", "Trains longer and enlarges a photograph of yours too"),
  run: async (flags, context) => (await import("../demo/run.ts")).runDemoCommand(flags, context),
};
