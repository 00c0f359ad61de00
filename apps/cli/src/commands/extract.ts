import type { ExtractFlags } from "../extract/run.ts";
import type { Command } from "./command.ts";

/** `deplsr extract`: large images to overlapping squares, which trainings read faster. */
export const extract: Command<ExtractFlags> = {
  command: "extract <images..>",
  describe: "Cut large images into overlapping squares, which a training reads faster",
  options: (yargs) =>
    yargs
      .positional("images", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "Images, folders of them, or lists (TSV, JSON, TXT)",
      })
      .option("out", { type: "string", demandOption: true, describe: "Folder for the squares, NAME_s001.png ..." })
      .option("size", { type: "number", default: 480, describe: "Side of the squares, at most 16384" })
      .option("step", { type: "number", describe: "From one square to the next; default: half of --size" })
      .option("threshold", {
        type: "number",
        default: 0,
        describe: "What is left at the border is cut out too where it is wider than this",
      })
      .option("template", {
        type: "string",
        default: "{}",
        describe:
          "How the images' names are made, for pairs: {}x4 gives the squares of 0001x4.png the names of those of 0001.png",
      })
      .option("jobs", { type: "number", default: 2, describe: "Images that are worked on at a time" })
      .option("overwrite", { type: "boolean", default: false, describe: "Replace squares that are there already" })
      .example("$0 extract DIV2K/HR --out sub/HR --size 480 --step 240", "Squares of the originals")
      .example("$0 extract DIV2K/X4 --out sub/X4 --size 120 --step 60 --template {}x4", "Their low-quality versions"),
  run: async (flags, context) => (await import("../extract/run.ts")).runExtract(flags, context),
};
