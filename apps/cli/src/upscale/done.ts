/** Telling what is done already from what is not: by what stands in a result, or beside it, about what made it. */
import { readFile, stat } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { exists, writeFileAtomic } from "../files.ts";
import { type Provenance, readProvenance } from "../photo/provenance.ts";

/** What stands where a result shall be written. */
export type Standing =
  /** Nothing. */
  | "free"
  /** The result, of the photo as it is now. */
  | "done"
  /** Something else. */
  | "other";

/** What stands at a place. @param photo the photo's path; `-` for stdin, of which nothing is known to be done */
export async function standingAt(out: string, photo: string, provenance: Provenance): Promise<Standing> {
  if (!(await exists(out))) return "free";
  if (photo === "-") return "other";
  const [before, after] = await Promise.all([stat(photo), stat(out)]);
  if (!after.isFile() || after.mtimeMs < before.mtimeMs) return "other";
  const found = (await readProvenance(out)) ?? (await readSidecar(out));
  return isDeepStrictEqual(found, provenance) ? "done" : "other";
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
