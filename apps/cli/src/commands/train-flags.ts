import type { Argv } from "yargs";
import { type DeviceFlags, deviceFlags } from "./command.ts";

/** The flags of both trainings. */
export interface TrainFlags extends DeviceFlags {
  readonly config: string | undefined;
  readonly out: string | undefined;
  readonly resume: string | true | undefined;
  readonly overwrite: boolean;
  readonly set: string[];
}

/** Adds the flags of both trainings. */
export function trainFlags<T>(yargs: Argv<T>): Argv<T & TrainFlags> {
  return deviceFlags(yargs)
    .option("config", { type: "string", describe: "YAML file, see options/train; a resumed run has its own" })
    .option("out", { type: "string", describe: "The run's folder; default runs/NAME" })
    .option("resume", {
      type: "string",
      alias: ["auto_resume", "auto-resume"],
      describe:
        "Goes on: from the latest checkpoint in --out, if there is one, or from that of a run, or from a checkpoint",
      coerce: (value: string | undefined) => (value === "" ? true : value) as string | true | undefined,
    })
    .option("overwrite", { type: "boolean", default: false, describe: "Begins anew where a run stands, which is kept" })
    .option("set", {
      type: "string",
      array: true,
      default: [],
      describe: "Replaces a value of the configuration: key=value",
    });
}
