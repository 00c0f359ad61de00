import { basename, extname, join } from "node:path";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { parseSetting } from "../config/set.ts";
import { expandInputs, stem } from "../data/folder.ts";
import { checkWritable, isImageName, LARGEST_SIDE, readImage, writeImage } from "../data/image.ts";
import { withDevice } from "../device.ts";
import { oneLine, UsageError, UserError, WriteError } from "../errors.ts";
import { checkPlace, exists } from "../files.ts";
import { checkWhole } from "../flags.ts";
import { counted } from "../output.ts";
import { duration } from "../progress.ts";
import { loadUpscaler, upscaleImage } from "./upscale.ts";

/** The flags of `deplsr upscale`. */
export interface UpscaleFlags extends DeviceFlags {
  readonly images: string[];
  readonly model: string | undefined;
  readonly key: string | undefined;
  readonly "allow-missing": boolean;
  readonly assume: string[];
  readonly srclip: string | undefined;
  readonly "clip-input": "normalized" | "raw" | undefined;
  readonly "clip-fit": "squash" | "crop" | undefined;
  readonly out: string;
  readonly tile: number;
}

/** Where `deplsr demo` leaves its network. */
const DEMO_RUN = join("runs", "demo", "sr");

/** Does what `deplsr upscale` asks for. */
export async function runUpscale(flags: UpscaleFlags, context: Context): Promise<void> {
  const { output } = context;
  checkWhole("tile", flags.tile, 16, LARGEST_SIDE);
  const assume = Object.fromEntries(flags.assume.map((text) => parseSetting("assume", text, "imgRange=255")));
  const model = flags.model ?? DEMO_RUN;
  if (!(await exists(model))) {
    throw new UserError(
      flags.model === undefined
        ? "upscale: there is no trained network yet: give one with --model, or make a small one with `deplsr demo`"
        : `upscale: ${model} does not exist: check the path of --model`,
    );
  }
  const inputs = await expandInputs(flags.images);
  const toFile = isImageName(flags.out);
  if (toFile) checkFile(flags.out, inputs);
  else checkNames(inputs);
  await checkPlace(toFile ? flags.out : join(flags.out, basename(inputs[0]!)));
  await withDevice(flags, context, async (device) => {
    const upscaler = await loadUpscaler(device, model, {
      strict: !flags["allow-missing"],
      prompt: {
        ...(flags["clip-input"] ? { clipInput: flags["clip-input"] } : {}),
        ...(flags["clip-fit"] ? { clipFit: flags["clip-fit"] } : {}),
      },
      warn: (text) => output.warn(text),
      assume,
      ...(flags.key === undefined ? {} : { key: flags.key }),
      ...(flags.srclip === undefined ? {} : { srclip: flags.srclip }),
    });
    const { module, scale } = upscaler.network;
    output.line(`network: ${module.constructor.name} x${scale} of ${model}`);
    const images: { in: string; out: string; width: number; height: number; ms: number }[] = [];
    const skipped: { name: string; reason: string }[] = [];
    for (const path of inputs) {
      try {
        const started = performance.now();
        const image = await readImage(path);
        const out = toFile ? flags.out : join(flags.out, `${stem(path)}_x${scale}.png`);
        checkWritable(out, { width: image.width * scale, height: image.height * scale });
        const bar = output.progress(`upscale ${stem(path)}`, 1, "tile");
        const enlarged = await upscaleImage(device, upscaler, image, {
          tile: flags.tile,
          onTile: (done, total) => bar.retarget(total).update(done),
        });
        bar.finish();
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
      throw new UserError(`upscale: none of the ${inputs.length} photographs could be enlarged: ${skipped[0]!.reason}`);
    if (skipped.length > 0) output.warn(`left out ${skipped.length} of ${counted(inputs.length, "photograph")}`);
    output.result({ images, ...(skipped.length > 0 ? { skipped } : {}) });
  });
}

/** @throws UsageError when all photographs cannot become this one file */
function checkFile(out: string, inputs: readonly string[]): void {
  if (inputs.length > 1)
    throw new UsageError(`--out ${out} is one file for ${inputs.length} photographs: give a folder`);
  if (![".png", ".jpg", ".jpeg", ".webp"].includes(extname(out).toLowerCase()))
    throw new UsageError(`--out ${out} must end in .png, .jpg or .webp, or be a folder`);
}

/** @throws UsageError when two photographs would be written to the same place */
function checkNames(inputs: readonly string[]): void {
  const places = new Map<string, string>();
  for (const path of inputs) {
    const other = places.get(stem(path));
    if (other !== undefined)
      throw new UsageError(
        `${other} and ${path} would get the same name: enlarge them one by one, each with its --out`,
      );
    places.set(stem(path), path);
  }
}
