import type { DegradeFlags } from "../degrade/request.ts";
import { type Command, captionFlags, deviceFlags } from "./command.ts";

/** `deplsr degrade`: photographs to a data set of degraded images, with captions or as pairs. */
export const degrade: Command<DegradeFlags> = {
  command: "degrade [images..]",
  describe: "Degrade photographs and write what was done to each; started again, it goes on where it stopped",
  options: (yargs) =>
    captionFlags(deviceFlags(yargs))
      .positional("images", {
        type: "string",
        array: true,
        default: [] as string[],
        describe: "Photographs, folders of them, or lists (TSV, JSON, TXT); a degraded.jsonl makes its images again",
      })
      .option("out", {
        type: "string",
        describe: "Folder of the data set; without it, a folder HR gets one beside it: LQ, RealLQ (x2), RealLQx4 ...",
      })
      .option("pipeline", {
        choices: ["semantic", "second-order"] as const,
        default: "semantic" as const,
        describe: "Squares with captions for SRCLIP, or Real-ESRGAN's pairs for super-resolution",
      })
      .option("scale", { type: "number", describe: "second-order: how many times smaller, instead of the file's" })
      .option("config", { type: "string", describe: "How to degrade; options/degrade/ shows the defaults" })
      .option("caption", { type: "string", default: "a photo", describe: "Caption of photographs without one" })
      .option("count", { type: "number", default: 1, describe: "Degraded versions of each photograph" })
      .option("fit", {
        choices: ["squash", "crop"] as const,
        default: "squash" as const,
        describe: "Take the whole photograph (semantic: squashed to a square), or cut random squares out",
      })
      .option("chain", {
        choices: ["reference", "sequential"] as const,
        default: "reference" as const,
        describe: "semantic: one blur and noise, as published, or both stages one after the other",
      })
      .option("size", {
        type: "number",
        describe:
          "Side of the squares, at most 16384: semantic instead of the file's lq_size, second-order with --fit crop (512)",
      })
      .option("seed", { type: "number", describe: "Instead of the configuration's manual_seed" })
      .option("jobs", { type: "number", default: 2, describe: "Photographs that are worked on at a time" })
      .option("preview", { type: "boolean", default: false, describe: "Write a contact sheet, preview.png" })
      .example(
        "$0 degrade photos/ --out data/ --preview",
        "One degraded square of every photograph, and a look at them",
      )
      .example(
        "$0 degrade train.tsv --out data/ --captions sidecar",
        "The photographs of a list, captions from text files",
      )
      .example("$0 degrade LSDIR/HR --pipeline second-order --scale 4", "Pairs: LSDIR/RealLQx4 beside LSDIR/HR")
      .example(
        "$0 degrade DIV2K/ --pipeline second-order --scale 2 --fit crop --count 40 --out sub/",
        "Pairs of squares: sub/HR and sub/X2",
      )
      .example("$0 degrade data/degraded.jsonl --out again/", "The same images again, from what was recorded"),
  processes: "share",
  run: async (flags, context) => (await import("../degrade/run.ts")).runDegrade(flags, context),
};
