import { extname, join } from "node:path";
import { expandInputs, stem } from "../data/folder.ts";
import { readImage, writeImage } from "../data/image.ts";
import { oneLine, UsageError, UserError, WriteError } from "../errors.ts";
import { exists } from "../files.ts";
import { duration } from "../progress.ts";
import { loadUpscaler, upscaleImage } from "../upscale/upscale.ts";
import { type Command, type DeviceFlags, deviceFlags, withDevice } from "./command.ts";

interface UpscaleFlags extends DeviceFlags {
  readonly images: string[];
  readonly checkpoint: string | undefined;
  readonly srclip: string | undefined;
  readonly out: string;
  readonly tile: number;
}

/** Where `deplsr demo` leaves its network. */
const DEMO_RUN = join("runs", "demo", "sr");

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
        describe: `A run's folder, or one of its checkpoints; default ${DEMO_RUN}`,
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
  run: async (flags, context) => {
    const { output } = context;
    if (!Number.isInteger(flags.tile) || flags.tile < 16)
      throw new UsageError(`--tile ${flags.tile} must be a whole number of at least 16`);
    const checkpoint = flags.checkpoint ?? DEMO_RUN;
    if (!(await exists(checkpoint))) {
      throw new UserError(
        flags.checkpoint === undefined
          ? "upscale: there is no trained network yet: give one with --checkpoint, or make a small one with `deplsr demo`"
          : `upscale: ${checkpoint} does not exist: check the path of --checkpoint`,
      );
    }
    const inputs = await expandInputs(flags.images);
    const toFile =
      extname(flags.out) !== "" && [".png", ".jpg", ".jpeg", ".webp"].includes(extname(flags.out).toLowerCase());
    if (toFile && inputs.length > 1)
      throw new UsageError(`--out ${flags.out} is one file for ${inputs.length} photographs: give a folder`);
    await withDevice(flags, context, async (device) => {
      const upscaler = await loadUpscaler(device, checkpoint, flags.srclip);
      const { scale } = upscaler.network;
      const images: { in: string; out: string; width: number; height: number; ms: number }[] = [];
      const skipped: { name: string; reason: string }[] = [];
      for (const path of inputs) {
        try {
          const started = performance.now();
          const image = await readImage(path);
          const bar = output.progress(`upscale ${stem(path)}`, 1, "tile");
          const enlarged = await upscaleImage(device, upscaler, image, {
            tile: flags.tile,
            onTile: (done, total) => bar.retarget(total).update(done),
          });
          bar.finish();
          const out = toFile ? flags.out : join(flags.out, `${stem(path)}_x${scale}.png`);
          await writeImage(out, enlarged);
          const ms = Math.round(performance.now() - started);
          images.push({ in: path, out, width: enlarged.width, height: enlarged.height, ms });
          output.line(`${path} -> ${out} (${enlarged.width}x${enlarged.height}, ${duration(ms / 1000)})`);
        } catch (error) {
          // A damaged photograph does not stop the others; a full disk or a lost device does.
          if (!(error instanceof UserError) || error instanceof WriteError || inputs.length === 1) throw error;
          skipped.push({ name: path, reason: oneLine(error) });
          output.warn(`${path} is left out: ${oneLine(error)}`);
        }
      }
      if (images.length === 0)
        throw new UserError(`upscale: none of the ${inputs.length} photographs could be read: ${skipped[0]!.reason}`);
      if (skipped.length > 0) output.warn(`${skipped.length} of ${inputs.length} photographs were left out`);
      output.result({ images, ...(skipped.length > 0 ? { skipped } : {}) });
    });
  },
};
