import type { CommandModule } from "yargs";
import type { FineFlags } from "../captions/fine.ts";
import type { CaptionsFlags } from "../captions/run.ts";
import type { Job } from "../ranks/job.ts";
import { bind, type Command, captionFlags } from "./command.ts";

const list: Command<CaptionsFlags> = {
  command: "$0 <images..>",
  describe: "List photographs and what they show in a TSV, with captions of any program",
  options: (yargs) =>
    // yargs takes the positional arguments of a group's own command for single ones otherwise.
    captionFlags(yargs.array("images"))
      .positional("images", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "Photographs, folders of them, or lists (TSV, JSON, TXT)",
      })
      .option("out", { type: "string", demandOption: true, describe: "The TSV to write: filepath, title" })
      .option("jobs", { type: "number", default: 1, describe: "Programs that run at a time" })
      .option("overwrite", {
        type: "boolean",
        default: false,
        describe: "Begin anew, instead of going on with the captions that are there",
      })
      .example(
        '$0 captions photos/ --out captions.tsv --caption-command "blip --beams 3 {image}"',
        "What a program says of each photograph",
      )
      .example("$0 captions photos/ --out captions.tsv", "The list alone, with empty captions to be written by hand")
      .example("$0 captions photos/ --captions sidecar --out captions.tsv", "From a.txt beside a.jpg")
      .example("$0 degrade photos/ --captions captions.tsv --out data/", "What reads it")
      .epilogue(
        "The program runs without a shell for one photograph at a time; what it prints is the caption. A caption is in the file as soon as it is " +
          "known: started again, it asks for those alone that are missing. Captions stay empty without a program; where they are empty, degrade " +
          "writes its own --caption (a photo).",
      ),
  run: async (flags, context) => (await import("../captions/run.ts")).runCaptions(flags, context),
};

const fine: Command<FineFlags> = {
  command: "fine <in> <out>",
  describe: "Write title3 ... title7, the five single degradations, anew from title2 of a TSV",
  options: (yargs) =>
    yargs
      .positional("in", { type: "string", demandOption: true, describe: "A TSV with filepath, title, title2" })
      .positional("out", { type: "string", demandOption: true, describe: "The TSV to write" })
      .option("overwrite", { type: "boolean", default: false, describe: "Replace it where there is one" })
      .example("$0 captions fine srclip_train_lq.csv train.tsv", "Then: deplsr train srclip --train-data train.tsv"),
  run: async (flags, context) => (await import("../captions/fine.ts")).runFine(flags, context),
};

/** `deplsr captions`: lists of photographs with captions, and of degradations with single ones. */
export function captions(job: Job): CommandModule {
  return {
    command: "captions",
    describe: "Write what photographs show, and how they were degraded, into tables",
    builder: (yargs) => yargs.command(bind(fine, job, "captions")).command(bind(list, job, "captions")),
    handler: () => undefined,
  };
}
