import type { UpscaleFlags } from "../upscale/run.ts";
import { type Command, deviceFlags } from "./command.ts";

/** `deplsr upscale`: enlarges and restores photographs. */
export const upscale: Command<UpscaleFlags> = {
  command: "upscale <images..>",
  describe: "Enlarge and restore photographs",
  options: (yargs) =>
    deviceFlags(yargs)
      .positional("images", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "Photographs, or folders of them",
      })
      .option("model", {
        alias: "checkpoint",
        type: "string",
        describe: "A DAT or RealDAT: a .pth, .pt, .bin or .safetensors file, or a run's folder; default runs/demo/sr",
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
        describe: "A folder, or for one photograph a .png, .jpg or .webp file",
      })
      .option("tile", {
        type: "number",
        default: 200,
        describe: "Largest side of what is enlarged at once, 16 to 16384 pixels",
      })
      .example("$0 upscale photo.jpg", "Writes photo_x2.png with the demo's small network")
      .example(
        "$0 upscale photo.jpg --model DAT_x4.pth",
        "With weights of PyTorch: what network they are is seen from them",
      )
      .example(
        "$0 upscale photo.jpg --model DAT_x4.pth --assume imgRange=255 --assume splitSize=[32,8]",
        "Of a network that was trained otherwise",
      )
      .example("$0 upscale photos/ --model runs/train_RealDAT_x4 --out large/", "Every photograph of a folder")
      .epilogue("Transparency is composited over white; what is written has 8 bits a channel and no metadata."),
  run: async (flags, context) => (await import("../upscale/run.ts")).runUpscale(flags, context),
};
