import type { UpscaleFlags } from "../upscale/flags.ts";
import { type Command, deviceFlags, photographs } from "./command.ts";

/** `deplsr upscale`: enlarges and restores photographs. */
export const upscale: Command<UpscaleFlags> = {
  command: "upscale <images..>",
  describe: "Enlarge and restore photographs",
  options: (yargs) =>
    photographs(deviceFlags(yargs))
      .option("model", {
        alias: "checkpoint",
        type: "string",
        describe:
          "A DAT or RealDAT: the name of a model in the box (see deplsr models), a .pth, .pt, .bin or .safetensors file, or a run's folder; default the one in the box for the scale",
      })
      .option("key", {
        type: "string",
        describe: "Which weights of the file, e.g. params or nets/generator; default params_ema, params",
      })
      .option("allow-missing", {
        type: "boolean",
        default: false,
        describe: "Load what fits, and say what does not, instead of refusing",
      })
      .option("assume", {
        type: "string",
        array: true,
        nargs: 1,
        default: [],
        describe:
          "name=value: instead of what is assumed of a file's network because its tensors do not tell, as deplsr inspect lists it",
      })
      .option("srclip", {
        type: "string",
        describe:
          "The SRCLIP of a RealDAT (file or run): of a file, or where it has moved since the training; none: without",
      })
      .option("clip-input", {
        choices: ["normalized", "raw"] as const,
        describe: "How SRCLIP saw images when a RealDAT was trained; default as its run says, of other files raw",
      })
      .option("clip-fit", {
        choices: ["squash", "crop"] as const,
        describe: "The same for images of another size than SRCLIP's; default as its run says, of other files squash",
      })
      .option("out", {
        type: "string",
        default: ".",
        describe: "A folder; for one photograph also a .png, .jpg, .webp, .avif or .tif file, or - for stdout",
      })
      .option("recursive", {
        alias: "r",
        type: "boolean",
        default: false,
        describe: "Also the sub-folders of folders, which the results keep",
      })
      .option("format", {
        choices: ["png", "jpeg", "webp", "avif", "tiff", "same"] as const,
        describe: "Of results in a folder; same: the photograph's own; default png",
      })
      .option("quality", {
        type: "number",
        describe: "1 to 100: of JPEG, default 95, of AVIF, default 80, of WebP, by default lossless",
      })
      .option("suffix", {
        type: "string",
        default: "_x{scale}",
        describe: "Behind the names of results in a folder; {scale} is what was asked for: 2, 1.5, 1200w",
      })
      .option("strip", {
        type: "boolean",
        default: false,
        describe: "Leave EXIF, GPS and XMP out; what made a result is then written beside it",
      })
      .option("overwrite", {
        type: "boolean",
        default: false,
        describe: "Replace what is there; otherwise what is done is skipped, and anything else is left alone",
      })
      .option("scale", {
        type: "number",
        describe: "1, 1.5, 3 ...: enlarged by the network, then resampled; default the network's",
      })
      .option("width", {
        type: "number",
        describe: "Of the result, in pixels; without --height in the photograph's proportions",
      })
      .option("height", { type: "number", describe: "The same for the height" })
      .option("strength", {
        type: "number",
        default: 1,
        describe: "0 to 1: how much of the network; the rest is plain enlargement",
      })
      .option("colour", {
        alias: "color",
        choices: ["keep", "free"] as const,
        describe:
          "keep: colours stay those of the photograph on average; default keep, of files that are not ours free",
      })
      .option("ensemble", {
        type: "boolean",
        default: false,
        describe: "The mean over eight flips and turns: a little better, eight times as long",
      })
      .option("tile", {
        type: "string",
        default: "auto",
        describe: "Largest side of what is enlarged at once, 16 to 16384 pixels; auto: what there is memory for",
      })
      .option("blend", {
        choices: ["cosine", "reference"] as const,
        default: "cosine" as const,
        describe: "How tiles meet: mixed, or cut as the reference's use_chop does",
      })
      .option("jsonl", {
        type: "boolean",
        default: false,
        describe: "One JSON object a photograph on stdout, as they come",
      })
      .example("$0 upscale photo.jpg", "Writes photo_x2.png")
      .example(
        "$0 upscale photo.jpg --model DAT_x4.pth",
        "With weights of PyTorch: what network they are is seen from them",
      )
      .example(
        "$0 upscale photo.jpg --model DAT_x4.pth --assume imgRange=255 --assume splitSize=[32,8]",
        "Of a network that was trained otherwise",
      )
      .example("$0 upscale photos/ --recursive --format same --out large/", "Every photograph, as what it was")
      .example("$0 upscale - --out - --scale 1.5 < photo.jpg > photo.png", "In a pipe")
      .epilogue(
        "EXIF (its orientation brought up to date), GPS and XMP are kept; 16 bits stay 16 bits in PNG, TIFF and AVIF; transparency is " +
          "enlarged on its own. A photograph is never written over. Exit code 1 when anything was left out.",
      ),
  processes: "share",
  run: async (flags, context) => (await import("../upscale/run.ts")).runUpscale(flags, context),
};
