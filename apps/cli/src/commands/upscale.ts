import { type Command, type DeviceFlags, deviceFlags } from "./command.ts";

/** The flags of `deplsr upscale`. */
export interface UpscaleFlags extends DeviceFlags {
  readonly images: string[];
  readonly checkpoint: string | undefined;
  readonly srclip: string | undefined;
  readonly out: string;
  readonly tile: number;
}

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
      .option("checkpoint", {
        type: "string",
        describe: "A run's folder, or one of its checkpoints; default runs/demo/sr",
      })
      .option("srclip", { type: "string", describe: "The SRCLIP run, where it has moved since the training" })
      .option("out", {
        type: "string",
        default: ".",
        describe: "A folder, or for one photograph a .png, .jpg or .webp file",
      })
      .option("tile", { type: "number", default: 200, describe: "Largest side of what is enlarged at once, in pixels" })
      .example("$0 upscale photo.jpg", "Writes photo_x2.png with the demo's small network")
      .example("$0 upscale photos/ --checkpoint runs/realdat-x4 --out large/", "Every photograph of a folder")
      .epilogue("Transparency is composited over white; what is written has 8 bits a channel and no metadata."),
  run: async (flags, context) => (await import("../upscale/run.ts")).runUpscale(flags, context),
};
