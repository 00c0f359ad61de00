import type { CommandModule } from "yargs";
import type { FitNiqeFlags } from "../iqa/fit-niqe.ts";
import type { IqaFlags } from "../iqa/run.ts";
import type { Job } from "../ranks/job.ts";
import { bind, type Command, deviceFlags } from "./command.ts";

const score: Command<IqaFlags> = {
  command: "$0 [images]",
  describe: "Score images, or sets of them, beside what they should be or alone",
  options: (yargs) =>
    deviceFlags(yargs)
      .positional("images", { type: "string", describe: "An image, or a folder of them" })
      .option("ref", { type: "string", describe: "What they should be: an image, or a folder with the same names" })
      .option("set", {
        type: "string",
        array: true,
        default: [],
        describe: "NAME=SR,HR, once for each of several sets, instead of images and --ref; without ,HR no originals",
      })
      .option("crop-reference", {
        type: "boolean",
        default: false,
        describe:
          "Cut references at their right and lower border to their images: sizes that are no multiple of the scale",
      })
      .option("metrics", {
        type: "string",
        describe: "Names with commas between; default psnr,ssim,niqe, or niqe alone without references",
      })
      .option("crop", {
        type: "number",
        default: 0,
        describe: "Leave out a border of so many pixels: the scale, usually",
      })
      .option("y", { type: "boolean", default: false, describe: "PSNR and SSIM of the luma instead of RGB" })
      .option("csv", {
        type: "string",
        describe: "Write the score of every image to this file, or with --set the means",
      })
      .option("overwrite", {
        type: "boolean",
        default: false,
        describe: "Replace the file of --csv where there is one",
      })
      .option("niqe-params", {
        type: "string",
        describe: "NIQE's published parameters (.npz, .mat), or a file of fit-niqe, instead of the model fitted here",
      })
      .option("weights", {
        type: "string",
        default: "weights",
        describe: "The folder with the weights of learned metrics",
      })
      .example("$0 iqa sr/ --ref hr/ --crop 4 --y --csv scores.csv", "PSNR and SSIM as papers report them, and NIQE")
      .example(
        "$0 iqa --set Set5=sr/Set5,Set5/GTmod12 --set mine=sr/mine --metrics psnr-pyiqa,ssim-pyiqa,niqe --csv metrics.csv",
        "Several sets, scored and written as by DePLSR's scripts/iqa.py",
      )
      .example("$0 iqa sr/ --ref BSD100/ --crop-reference", "Originals of 481x321 beside images of 480x320, x4")
      .example(
        "$0 iqa photo.jpg --metrics niqe --niqe-params niqe_pris_params.npz",
        "No reference, published parameters",
      )
      .epilogue(
        "An image's reference has its name, or the longest name that the image's goes on from: baby_x4 and babyx4 belong to baby " +
          "or baby_HR. The file of several sets has a line for each mean: Dataset,Metric,Score,Best Image. --crop and --y do not apply to what pyiqa defines without them: metrics that end in -pyiqa and learned ones.",
      ),
  processes: "share",
  run: async (flags, context) => (await import("../iqa/run.ts")).runIqa(flags, context),
};

const fitNiqe: Command<FitNiqeFlags> = {
  command: "fit-niqe <photographs> <out>",
  describe: "Fit NIQE's model of natural images to photographs",
  options: (yargs) =>
    yargs
      .positional("photographs", { type: "string", demandOption: true, describe: "A folder of pristine photographs" })
      .positional("out", { type: "string", demandOption: true, describe: "The file to write, .json" })
      .option("about", { type: "string", describe: "Where the photographs come from: a sentence for the file" })
      .option("overwrite", { type: "boolean", default: false, describe: "Replace the file where there is one" })
      .example("$0 iqa fit-niqe photographs/ natural.json", "Then: deplsr iqa sr/ --niqe-params natural.json"),
  run: async (flags, context) => (await import("../iqa/fit-niqe.ts")).runFitNiqe(flags, context),
};

/** `deplsr iqa`: image quality, and the fit of a model that it needs. */
export function iqa(job: Job): CommandModule {
  return {
    command: "iqa",
    describe: "Score images: PSNR, SSIM, NIQE and learned metrics",
    builder: (yargs) => yargs.command(bind(fitNiqe, job, "iqa")).command(bind(score, job, "iqa")),
    handler: () => undefined,
  };
}
