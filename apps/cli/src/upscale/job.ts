/** Enlarging one photo: what the flags ask for, and the way from its file to that of the result. */
import { freemem } from "node:os";
import type { Provenance } from "@deplsr/photo";
import { type RestoreOptions, type Restorer, resultSize } from "@deplsr/restore";
import { sha256Of } from "../networks/weights-file.ts";
import type { FoundPhoto } from "../photo/find.ts";
import { checkRoom, isWritable, type OutputFormat, outputFormat } from "../photo/output-format.ts";
import { readPhoto } from "../photo/read.ts";
import { writeSidecar } from "./done.ts";
import type { UpscaleFlags } from "./flags.ts";
import type { LoadedUpscaler } from "./upscale.ts";
import { resultDepth, writeResult } from "./write.ts";

/** The endings of the formats that are written. */
const ENDINGS: Readonly<Record<OutputFormat, string>> = {
  png: ".png",
  jpeg: ".jpg",
  webp: ".webp",
  avif: ".avif",
  tiff: ".tif",
};

/** One result, as `--json` tells it. */
export interface Enlarged {
  readonly in: string;
  readonly out: string;
  readonly width: number;
  readonly height: number;
  readonly ms: number;
}

/** What is done with each photo. */
export interface Job {
  readonly restore: RestoreOptions;
  readonly provenance: Provenance;
  readonly quality: number | undefined;
  readonly strip: boolean;
  readonly format: (out: string) => OutputFormat;
  readonly ending: (photo: FoundPhoto) => string;
}

/** What the flags ask for. @param tileBytes what a tile may take of the memory */
export async function jobOf(flags: UpscaleFlags, upscaler: LoadedUpscaler, tileBytes: number): Promise<Job> {
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
    restore: { ...size, strength, colour, ensemble, blend, tile, tileBytes },
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
export function freeForTiles(): number {
  return Math.min(2 ** 28, Math.max(2 ** 25, freemem() / 8));
}

/** What is told meanwhile. */
export interface Telling {
  readonly warn: (text: string) => void;
  /** Told after each tile. */
  readonly onTile: (done: number, total: number) => void;
}

/**
 * Enlarges a photo and writes the result, `-` for stdout.
 *
 * @throws UserError when the photo cannot be read or the result not be written; RangeError naming an option that does not fit the photo
 */
export async function enlarge(
  restorer: Restorer,
  path: string,
  out: string,
  job: Job,
  { warn, onTile }: Telling,
): Promise<Enlarged> {
  const started = performance.now();
  const photo = await readPhoto(path, { colours: "own" });
  for (const note of photo.notes) warn(note);
  const format = job.format(out);
  const depth = resultDepth(photo, format);
  const size = resultSize(photo, job.restore, restorer.network.scale);
  checkRoom(format, out, { ...size, depth, channels: photo.alpha ? 4 : 3 });
  const result = restorer.stream(photo, { ...job.restore, depth, onProgress: onTile });
  const { quality, strip, provenance } = job;
  const how = { format, strip, provenance, ...(quality === undefined ? {} : { quality }) };
  const notes = await writeResult(out === "-" ? null : out, photo, result, how);
  if (strip && out !== "-") await writeSidecar(out, provenance);
  for (const note of notes) warn(`${out}: ${note}`);
  const { width, height } = result;
  const ms = Math.round(performance.now() - started);
  return { in: path, out, width, height, ms };
}
