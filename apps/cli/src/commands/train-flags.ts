import type { Argv } from "yargs";
import { type DeviceFlags, deviceFlags } from "./command.ts";

/** The flags that change single values of an option file. */
export interface SettingFlags {
  readonly set: string[];
  readonly force_yml: string[];
}

/** Adds `--set`, `--force_yml`, and what the original has for several processes. */
export function settingFlags<T>(yargs: Argv<T>): Argv<T & SettingFlags & { readonly launcher: string | undefined }> {
  return yargs
    .option("set", {
      type: "string",
      array: true,
      default: [],
      describe: "Replaces a value of the configuration: key.key=value",
    })
    .option("force_yml", { type: "string", array: true, default: [], describe: "The same as key:key=value" })
    .option("launcher", {
      choices: ["none", "pytorch", "slurm"] as const,
      describe: "Of the original, without effect: mpirun and srun start several processes",
    })
    .option("local_rank", { type: "string", hidden: true });
}

/** The flags of both trainings. */
export interface TrainFlags extends DeviceFlags, SettingFlags {
  readonly config: string | undefined;
  readonly out: string | undefined;
  readonly resume: string | true | undefined;
  readonly overwrite: boolean;
  readonly "dry-run": boolean;
  readonly debug: boolean;
  readonly launcher: string | undefined;
}

/** Adds the flags of both trainings. */
export function trainFlags<T>(yargs: Argv<T>): Argv<T & TrainFlags> {
  return settingFlags(deviceFlags(yargs))
    .option("config", {
      type: "string",
      alias: "opt",
      describe: "YAML file, see options/train (-opt FILE also); a resumed run has its own",
    })
    .option("out", { type: "string", describe: "The run's folder; default runs/NAME" })
    .option("resume", {
      type: "string",
      alias: ["auto_resume", "auto-resume"],
      describe:
        "Goes on: from the latest checkpoint in --out, if there is one, or from that of a run, or from a checkpoint",
      coerce: (value: string | undefined) =>
        (value === "" || value === "latest" ? true : value) as string | true | undefined,
    })
    .option("overwrite", { type: "boolean", default: false, describe: "Begins anew where a run stands, which is kept" })
    .option("dry-run", {
      type: "boolean",
      default: false,
      describe: "Says what would be done: configuration, parameters, memory and time of a step",
    })
    .option("debug", {
      type: "boolean",
      default: false,
      describe: "A run debug_NAME that logs every step, saves and validates every 8 steps",
    });
}

/** `-opt FILE` of the original as `--opt FILE`: yargs takes a single dash for the flags o, p and t. */
export function withLongOpt(argv: readonly string[]): string[] {
  return argv.map((word) => (word === "-opt" || word.startsWith("-opt=") ? `-${word}` : word));
}
