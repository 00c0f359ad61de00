/** Telling what is done already from what is not: by what stands in a result, or beside it, about what made it. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import type { Provenance } from "@deplsr/photo";
import { isBelow } from "../data/sources.ts";
import { UserError } from "../errors.ts";
import { exists, writeFileAtomic } from "../files.ts";
import type { FoundPhoto } from "../photo/find.ts";
import { readProvenance } from "../photo/provenance.ts";
import { readPhotoFile } from "../photo/read.ts";

/** What stands where a result shall be written. */
export type Standing =
  /** Nothing. */
  | "free"
  /** The result. */
  | "done"
  /** Something else. */
  | "other";

/** What makes the result of a photo: the network, the options, and the photo's own bytes, whatever its name. @param photo its path; `-` for stdin, which is read once */
export async function madeOf(photo: string, { model, options }: Provenance): Promise<Provenance> {
  const hash =
    photo === "-"
      ? null
      : createHash("sha256")
          .update(await readPhotoFile(photo))
          .digest("hex");
  return { model, options: { ...options, photo: hash } };
}

/** What stands at a place where a result shall be written. @param made what makes the result */
export async function standingAt(out: string, made: Provenance): Promise<Standing> {
  if (!(await exists(out))) return "free";
  if (made.options.photo === null) return "other";
  return isDeepStrictEqual(await writtenOf(out), made) ? "done" : "other";
}

/**
 * Photos without those in the folder that results go into which are such results, of earlier runs. One that is named alone stays.
 *
 * @throws UserError when no others are there
 */
export async function withoutResults(photos: readonly FoundPhoto[], folder: string): Promise<readonly FoundPhoto[]> {
  if (photos.length === 1) return photos;
  const others: FoundPhoto[] = [];
  for (const photo of photos) {
    if (!isBelow(photo.path, folder) || (await writtenOf(photo.path)) === null) others.push(photo);
  }
  if (others.length === 0)
    throw new UserError(
      `upscale: all ${photos.length} photographs are results of earlier runs in ${folder}: give another --out`,
    );
  return others;
}

/** Writes down beside a result what made it, for one without metadata. @throws WriteError */
export async function writeSidecar(out: string, provenance: Provenance): Promise<void> {
  await writeFileAtomic(sidecarOf(out), `${JSON.stringify(provenance)}\n`);
}

/** What is known of what made a file, from itself or the file beside it. */
async function writtenOf(path: string): Promise<unknown> {
  return (await readProvenance(path)) ?? (await readSidecar(path));
}

function sidecarOf(out: string): string {
  return `${out}.deplsr.json`;
}

async function readSidecar(out: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(sidecarOf(out), "utf8"));
  } catch {
    return null;
  }
}
