import type { Argv } from "yargs";
import { type DeviceFlags, deviceFlags } from "./command.ts";

/** The flags of both trainings. */
export interface TrainFlags extends DeviceFlags {
  readonly config: string;
  readonly out: string | undefined;
  readonly set: string[];
}

/** Adds the flags of both trainings. */
export function trainFlags<T>(yargs: Argv<T>): Argv<T & TrainFlags> {
  return deviceFlags(yargs)
    .option("config", { type: "string", demandOption: true, describe: "YAML file, see options/train" })
    .option("out", { type: "string", describe: "The run's folder; default runs/NAME" })
    .option("set", {
      type: "string",
      array: true,
      default: [],
      describe: "Replaces a value of the configuration: key=value",
    });
}
