import type { Argv, CommandModule } from "yargs";
import { shippedNetwork } from "../networks/shipped.ts";
import type { Job } from "../ranks/job.ts";
import type { AttentionFlags } from "../visualize/attention.ts";
import type { NetworkFlags } from "../visualize/features.ts";
import type { FiltersFlags } from "../visualize/filters.ts";
import type { PlaceFlags } from "../visualize/places.ts";
import type { TsneFlags } from "../visualize/run-tsne.ts";
import { bind, type Command, type DeviceFlags, deviceFlags, pointingToHelp, srclipFlag } from "./command.ts";

/** `FINE_FEATURES`, without loading what computes. */
const KINDS = ["blur", "gaussian", "poisson", "jpeg", "ringing"] as const;

const attention: Command<AttentionFlags> = {
  command: "attention <image>",
  describe: "Where the class token of an SRCLIP looks, in each block of both towers",
  options: (yargs) =>
    srclipFlag(placeFlags(yargs))
      .positional("image", { type: "string", demandOption: true, describe: "A photograph" })
      .option("square", {
        type: "string",
        describe: "x,y of the corner of the square that is shown; default the middle",
      })
      .example(
        "$0 visualize attention photo.jpg",
        "photo_attention.png: the adaptor's blocks, then the frozen tower's",
      ),
  run: async (flags, context) => (await import("../visualize/attention.ts")).runAttention(flags, context),
};

const filters: Command<FiltersFlags> = {
  command: "filters",
  describe: "The principal components of an SRCLIP's patch-embedding filters",
  options: (yargs) =>
    srclipFlag(placeFlags(yargs))
      .option("tower", {
        choices: ["adaptor", "frozen"] as const,
        default: "adaptor" as const,
        describe: "Whose filters",
      })
      .example("$0 visualize filters", "srclip_filters.png, of the SRCLIP in the box"),
  run: async (flags, context) => (await import("../visualize/filters.ts")).runFilters(flags, context),
};

const tsne: Command<TsneFlags> = {
  command: "tsne <data>",
  describe: "One fine feature of many images on a plane (t-SNE), coloured by level or folder",
  options: (yargs) =>
    srclipFlag(placeFlags(yargs))
      .positional("data", {
        type: "string",
        demandOption: true,
        describe: "A TSV (filepath, title ... title7), or a folder whose sub-folders are classes",
      })
      .option("kind", { choices: KINDS, default: "blur" as const, describe: "Which fine feature" })
      .option("by", {
        choices: ["predicted", "label", "folder"] as const,
        describe: "What colours the points; default folder where there are sub-folders, else predicted",
      })
      .option("perplexity", { type: "number", default: 30, describe: "About how many neighbours a point has" })
      .option("seed", { type: "number", default: 0, describe: "Of the images of --limit, and of the start" })
      .option("limit", { type: "number", default: 2000, describe: "Most images; time grows with their square" })
      .example("$0 visualize tsne data/degraded.tsv --kind jpeg --by label", "Are the levels of JPEG apart?")
      .example("$0 visualize tsne Set14_DE/ --perplexity 10", "deg_1/ ... deg_5/ in five colours"),
  run: async (flags, context) => (await import("../visualize/run-tsne.ts")).runTsne(flags, context),
};

const features: Command<NetworkFlags> = {
  command: "features <image>",
  describe: "The feature maps of a DAT or RealDAT after each residual group",
  options: (yargs) =>
    networkFlags(placeFlags(yargs)).example(
      "$0 visualize features photo.jpg",
      "photo_features.png: a row for each group of the model in the box",
    ),
  run: async (flags, context) => (await import("../visualize/features.ts")).runFeatures(flags, context),
};

const fusion: Command<NetworkFlags> = {
  command: "fusion <image>",
  describe: "Where the cross-modal fusion blocks of a RealDAT look",
  options: (yargs) =>
    networkFlags(placeFlags(yargs)).example(
      "$0 visualize fusion photo.jpg --model runs/train_RealDAT_x4",
      "photo_fusion.png: maps for content, blur, gaussian, poisson, jpeg and ringing",
    ),
  run: async (flags, context) => (await import("../visualize/fusion.ts")).runFusion(flags, context),
};

function placeFlags<T>(yargs: Argv<T>): Argv<T & DeviceFlags & PlaceFlags> {
  return deviceFlags(yargs)
    .option("out", { type: "string", default: ".", describe: "The folder that pictures go into" })
    .option("overwrite", { type: "boolean", default: false, describe: "Replace pictures that are there" });
}

function networkFlags<T>(yargs: Argv<T>): Argv<T & { image: string; model: string; srclip: string | undefined }> {
  return yargs
    .positional("image", { type: "string", demandOption: true, describe: "A photograph" })
    .option("model", {
      type: "string",
      default: shippedNetwork(undefined),
      describe: "The network: a run's folder, a file, or the name of a model in the box",
    })
    .option("srclip", { type: "string", describe: "The SRCLIP of a RealDAT that does not say where it is" });
}

/** `deplsr visualize`: what networks look at and make, as pictures; the original's `scripts/visualize.py` and `scripts/tsne.py`, and more. */
export function visualize(job: Job): CommandModule {
  const group = "visualize";
  return {
    command: group,
    describe: "Draw what networks look at: attention, filters, t-SNE, feature maps, fusion",
    builder: (yargs) =>
      pointingToHelp(yargs, group)
        .command(bind(attention, job, group))
        .command(bind(filters, job, group))
        .command(bind(tsne, job, group))
        .command(bind(features, job, group))
        .command(bind(fusion, job, group))
        .demandCommand(1, "say what to visualize: attention, filters, tsne, features or fusion"),
    handler: () => undefined,
  };
}
