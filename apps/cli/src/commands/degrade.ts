import { type Command, type DeviceFlags, deviceFlags } from "./command.ts";

/** The flags of `deplsr degrade`. */
export interface DegradeFlags extends DeviceFlags {
  readonly images: string[];
  readonly out: string;
  readonly config: string | undefined;
  readonly captions: string | undefined;
  readonly caption: string;
  readonly count: number;
  readonly fit: "squash" | "crop";
  readonly chain: "reference" | "sequential";
  readonly size: number | undefined;
  readonly seed: number | undefined;
}

/** `deplsr degrade`: photographs to a data set of degraded images with captions. */
export const degrade: Command<DegradeFlags> = {
  command: "degrade <images..>",
  describe: "Degrade photographs and write what was done to each: PNG files and a TSV",
  options: (yargs) =>
    deviceFlags(yargs)
      .positional("images", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "Photographs, or folders of them",
      })
      .option("out", { type: "string", demandOption: true, describe: "Folder for the PNG files and degraded.tsv" })
      .option("config", { type: "string", describe: "How to degrade; options/degrade.yml shows the defaults" })
      .option("captions", { type: "string", describe: "TSV with filepath and title of the photographs" })
      .option("caption", { type: "string", default: "a photo", describe: "Caption of photographs without one" })
      .option("count", { type: "number", default: 1, describe: "Degraded versions of each photograph" })
      .option("fit", {
        choices: ["squash", "crop"] as const,
        default: "squash" as const,
        describe: "Squash the whole photograph to the square, or cut random squares out at native resolution",
      })
      .option("chain", {
        choices: ["reference", "sequential"] as const,
        default: "reference" as const,
        describe: "One blur and noise, as published, or both stages one after the other",
      })
      .option("size", {
        type: "number",
        describe: "Side of the degraded images, instead of the configuration's lq_size",
      })
      .option("seed", { type: "number", describe: "Instead of the configuration's manual_seed" })
      .example("$0 degrade photos/ --out data/", "One degraded version of every photograph, 224 pixels square")
      .example(
        "$0 degrade a.jpg b.jpg --out data/ --count 50 --fit crop --size 64",
        "A hundred squares at native resolution",
      ),
  run: async (flags, context) => (await import("../degrade/run.ts")).runDegrade(flags, context),
};
