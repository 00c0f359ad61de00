import { freemem } from "node:os";
import { join } from "node:path";
import { type RestoreOptions, Restorer, resultSize } from "@deplsr/restore";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { parseSetting } from "../config/set.ts";
import { isImageName, LARGEST_SIDE } from "../data/image.ts";
import { DEMO_SR } from "../demo/recipe.ts";
import { withDevice } from "../device.ts";
import { oneLine, UsageError, UserError, WriteError } from "../errors.ts";
import { checkPlace, exists } from "../files.ts";
import { checkWhole } from "../flags.ts";
import { sha256Of } from "../networks/weights-file.ts";
import { counted, type Output } from "../output.ts";
import { describeLeftOut, type FoundPhoto, findPhotos, type LeftOut } from "../photo/find.ts";
import { checkRoom, isWritable, type OutputFormat, outputFormat } from "../photo/output-format.ts";
import type { Provenance } from "../photo/provenance.ts";
import { readPhoto } from "../photo/read.ts";
import { duration, type Progress } from "../progress.ts";
import { madeOf, standingAt, withoutResults, writeSidecar } from "./done.ts";
import { Originals, placesOf, sizeName } from "./place.ts";
import { type LoadedUpscaler, loadUpscaler } from "./upscale.ts";
import { resultDepth, writeResult } from "./write.ts";

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
  readonly recursive: boolean;
  readonly format: OutputFormat | "same" | undefined;
  readonly quality: number | undefined;
  readonly suffix: string;
  readonly strip: boolean;
  readonly overwrite: boolean;
  readonly scale: number | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly strength: number;
  readonly colour: "keep" | "free" | undefined;
  readonly ensemble: boolean;
  readonly tile: string;
  readonly blend: "cosine" | "reference";
}

/** Where `deplsr demo` leaves its network. */
const DEMO_RUN = join("runs", "demo", "sr");

/** The endings of the formats that are written. */
const ENDINGS: Readonly<Record<OutputFormat, string>> = {
  png: ".png",
  jpeg: ".jpg",
  webp: ".webp",
  avif: ".avif",
  tiff: ".tif",
};

/** Something that was named and has no result. */
interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** Does what `deplsr upscale` asks for. */
export async function runUpscale(flags: UpscaleFlags, context: Context): Promise<void> {
  const { output } = context;
  checkFlags(flags);
  if (flags.out === "-" && output.form !== "text")
    throw new UsageError("--out - needs stdout for the picture: leave --json and --jsonl out");
  if (flags.out === "-") output.leaveStdout();
  const assume = Object.fromEntries(flags.assume.map((text) => parseSetting("assume", text, "imgRange=255")));
  const model = flags.model ?? DEMO_RUN;
  if (!(await exists(model))) {
    throw new UserError(
      flags.model === undefined
        ? "upscale: there is no trained network yet: give one with --model, or make a small one with `deplsr demo`"
        : `upscale: ${model} does not exist: check the path of --model`,
    );
  }
  const { photos: found, leftOut } = await findPhotos(flags.images, { recursive: flags.recursive });
  const toFile = isImageName(flags.out) || flags.out === "-";
  if (toFile && found.length > 1)
    throw new UsageError(`--out ${flags.out} is one file for ${found.length} photographs: give a folder`);
  if (toFile) outputFormat(flags.out === "-" ? "stdout.png" : flags.out);
  if (flags.out !== "-") await checkPlace(toFile ? flags.out : join(flags.out, "result"));
  const photos = await withoutResults(found, flags.out);
  if (photos.length < found.length)
    output.line(`${counted(found.length - photos.length, "result")} of earlier runs in ${flags.out} left alone`);
  const others = describeLeftOut(leftOut);
  if (others !== null) output.warn(others);
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
    const { network, srclip, prompt } = upscaler;
    output.line(`network: ${network.module.constructor.name} x${network.scale} of ${model}`);
    if (upscaler.name === DEMO_SR)
      output.warn(
        "this network was made by the demo in seconds, of eight photographs: it shows the way, not what is possible",
      );
    const restorer = new Restorer(device, { network, srclip, ...(prompt ? { prompt } : {}) });
    const job = await jobOf(flags, upscaler);
    const naming = {
      folder: flags.out,
      suffix: flags.suffix,
      scale: sizeName(flags, network.scale),
      ending: job.ending,
    };
    const places = toFile ? [flags.out] : placesOf(photos, naming);
    const originals = await Originals.of(photos);
    const bar = photos.length > 1 ? output.progress("upscale", photos.length, "photo") : null;
    const images: Image[] = [];
    const unread = leftOut.filter(isPicture);
    const skipped: Skipped[] = unread.map(({ path, kind }) => ({
      name: path,
      reason: `is ${kind}, which is not read`,
    }));
    for (const { name, reason } of skipped) output.item({ in: name, skipped: reason });
    let failed = unread.length > 0;
    for (const [i, photo] of photos.entries()) {
      const out = places[i]!;
      try {
        const provenance = await madeOf(photo.path, job.provenance);
        const standing = out === "-" || flags.overwrite ? "free" : await standingAt(out, provenance);
        if (out !== "-") await originals.refuse(out);
        if (standing === "other")
          throw new UserError(`upscale: ${out} exists: choose another name, or --overwrite to replace it`);
        if (standing === "done") {
          skipped.push({ name: photo.path, reason: `is done already: ${out}` });
          output.item({ in: photo.path, skipped: `is done already: ${out}` });
        } else {
          const image = await upscaleOne(restorer, photo, out, { ...job, provenance }, output, bar, i);
          images.push(image);
          output.item({ ...image });
        }
      } catch (error) {
        const told = error instanceof RangeError ? new UserError(`upscale: ${photo.path}: ${oneLine(error)}`) : error;
        // A damaged photograph does not stop the others; a full disk or a lost device does.
        if (!(told instanceof UserError) || told instanceof WriteError || photos.length === 1) throw told;
        failed = true;
        skipped.push({ name: photo.path, reason: oneLine(told) });
        output.item({ in: photo.path, skipped: oneLine(told) });
        output.warn(`${photo.path} is left out: ${oneLine(told)}`);
      }
      bar?.update(i + 1);
    }
    bar?.finish();
    tell(output, photos.length + unread.length, images.length, skipped);
    if (failed && images.length === 0 && !skipped.some(isDone)) {
      const { reason } = skipped.at(-1)!;
      throw new UserError(`upscale: none of the ${photos.length} photographs could be enlarged: ${reason}`);
    }
    output.result({ images, ...(skipped.length > 0 ? { skipped } : {}) });
    if (failed) process.exitCode = 1;
  });
}

/** One result, as `--json` tells it. */
interface Image {
  readonly in: string;
  readonly out: string;
  readonly width: number;
  readonly height: number;
  readonly ms: number;
}

/** What is the same for all photos. */
interface Job {
  readonly restore: RestoreOptions;
  readonly provenance: Provenance;
  readonly quality: number | undefined;
  readonly strip: boolean;
  readonly format: (out: string) => OutputFormat;
  readonly ending: (photo: FoundPhoto) => string;
}

async function jobOf(flags: UpscaleFlags, upscaler: LoadedUpscaler): Promise<Job> {
  const { scale, width, height, strength, ensemble, blend, quality = null } = flags;
  const colour = flags.colour ?? (upscaler.ours ? "keep" : "free");
  const tile = flags.tile === "auto" ? "auto" : Number(flags.tile);
  const [model, srclip = null] = await Promise.all(upscaler.files.map((file) => sha256Of(file)));
  const { clipInput = null, clipFit = null } = upscaler.prompt ?? {};
  const size = {
    ...(scale === undefined ? {} : { scale }),
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
  };
  const asked = { scale: scale ?? null, width: width ?? null, height: height ?? null };
  const options = { ...asked, strength, colour, ensemble, blend, tile, quality, srclip, clipInput, clipFit };
  const { format } = flags;
  return {
    restore: { ...size, strength, colour, ensemble, blend, tile, tileBytes: tileBytes() },
    provenance: { model: model!, options },
    quality: flags.quality,
    strip: flags.strip,
    format: (out) => (out === "-" ? (format && format !== "same" ? format : "png") : outputFormat(out)),
    ending: ({ name }) => {
      if (format !== "same") return ENDINGS[format ?? "png"];
      return isWritable(name) ? ENDINGS[outputFormat(name)] : ENDINGS.png;
    },
  };
}

/** What a tile may take of the memory that is free. */
function tileBytes(): number {
  return Math.min(2 ** 28, Math.max(2 ** 25, freemem() / 8));
}

/** Enlarges a photo. */
async function upscaleOne(
  restorer: Restorer,
  { path }: FoundPhoto,
  out: string,
  job: Job,
  output: Output,
  overall: Progress | null,
  before: number,
): Promise<Image> {
  const started = performance.now();
  const photo = await readPhoto(path, { colours: "own" });
  for (const note of photo.notes) output.warn(note);
  const format = job.format(out);
  const depth = resultDepth(photo, format);
  const size = resultSize(photo, job.restore, restorer.network.scale);
  checkRoom(format, out, { ...size, depth, channels: photo.alpha ? 4 : 3 });
  const own = overall ? null : output.progress(`upscale ${path}`, 1, "tile");
  const onProgress = (done: number, total: number): void => {
    overall?.update(before + done / total);
    own?.retarget(total).update(done);
  };
  const result = restorer.stream(photo, { ...job.restore, depth, onProgress });
  const { quality, strip, provenance } = job;
  const how = { format, strip, provenance, ...(quality === undefined ? {} : { quality }) };
  const notes = await writeResult(out === "-" ? null : out, photo, result, how);
  own?.finish();
  if (strip && out !== "-") await writeSidecar(out, provenance);
  for (const note of notes) output.warn(`${out}: ${note}`);
  const { width, height } = result;
  const ms = Math.round(performance.now() - started);
  const [from, to] = [path === "-" ? "stdin" : path, out === "-" ? "stdout" : out];
  output.line(`${from} -> ${to} (${width}x${height}, ${duration(ms / 1000)})`);
  return { in: path, out, width, height, ms };
}

function isDone({ reason }: Skipped): boolean {
  return reason.startsWith("is done already");
}

/** Whether something that was left out is a picture after all. */
function isPicture({ kind }: LeftOut): boolean {
  return kind !== null && kind !== "folder";
}

function tell(output: Output, photos: number, made: number, skipped: readonly Skipped[]): void {
  const done = skipped.filter(isDone).length;
  const left = skipped.length - done;
  if (done > 0) output.line(`${counted(done, "photograph")} of ${photos} had been done already`);
  if (left > 0) output.warn(`left out ${left} of ${counted(photos, "photograph")}`);
  if (photos > 1) output.line(`enlarged ${counted(made, "photograph")}`);
}

/** @throws UsageError naming the flag that does not fit */
function checkFlags(flags: UpscaleFlags): void {
  const { tile, scale, width, height, strength, quality, suffix } = flags;
  if (tile !== "auto") checkWhole("tile", Number(tile), 16, LARGEST_SIDE);
  checkWhole("width", width, 1);
  checkWhole("height", height, 1);
  checkWhole("quality", quality, 1, 100);
  if (scale !== undefined && !(scale > 0 && scale <= 64))
    throw new UsageError(`--scale ${scale} must be a number above 0, at most 64`);
  if (scale !== undefined && (width !== undefined || height !== undefined))
    throw new UsageError("--scale beside --width or --height: give either");
  if (!(strength >= 0 && strength <= 1)) throw new UsageError(`--strength ${strength} must be a number from 0 to 1`);
  if (quality !== undefined && /\.(png|tiff?)$/i.test(isImageName(flags.out) ? flags.out : `.${flags.format ?? "png"}`))
    throw new UsageError(
      "--quality means nothing to PNG and TIFF, which lose nothing: give --format jpeg, webp or avif",
    );
  if (/[\\/]/.test(suffix)) throw new UsageError(`--suffix ${suffix} must not hold a slash: --out says the folder`);
  if (flags.format !== undefined && isImageName(flags.out))
    throw new UsageError(`--format ${flags.format} beside --out ${flags.out}, whose name says the format: give either`);
  if (flags.out === "-" && flags.format === "same") throw new UsageError("--format same has no meaning for --out -");
}
