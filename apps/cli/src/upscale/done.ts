/** Telling what is done already from what is not: by what stands in a result, or beside it, about what made it. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { exists, writeFileAtomic } from "../files.ts";
import { type Provenance, readProvenance } from "../photo/provenance.ts";
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
  const found = (await readProvenance(out)) ?? (await readSidecar(out));
  return isDeepStrictEqual(found, made) ? "done" : "other";
}

/** Writes down beside a result what made it, for one without metadata. @throws WriteError */
export async function writeSidecar(out: string, provenance: Provenance): Promise<void> {
  await writeFileAtomic(sidecarOf(out), `${JSON.stringify(provenance)}\n`);
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
