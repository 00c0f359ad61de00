/** What the processes of a job read: the first one makes the list of files, and the others have to see the same ones. */
import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { checkSameTensors, type ProcessGroup } from "@deplsr/distributed";
import type { Module } from "@deplsr/nn";
import { inParallel } from "../data/jobs.ts";
import { UserError } from "../errors.ts";
import { gather } from "./exchange.ts";

/** Files that are looked at side by side. */
const JOBS = 32;
/** In the place of a size. */
const MISSING = -1;
/** In the place of what the bytes make. */
const UNREADABLE = -1;
/** Bytes that a process reads of all files together, so that a long list costs little before the work begins. */
const BUDGET = 256 * 2 ** 20;
/** Bytes of one file, at least and at most: what is compressed differs at its end where it differs at all. */
const LEAST = 32 * 2 ** 10;
const MOST = 2 ** 20;

/**
 * Compares files between the processes: their sizes, and what they hold. Of large files, or many, that is the first and the last bytes. A file that is missing in all
 * processes is for their work to tell.
 *
 * @throws UserError in all processes, the same one in each, naming the first file that some of them see otherwise
 */
export async function checkSameFiles(group: ProcessGroup, paths: readonly string[]): Promise<void> {
  if (group.size === 1) return;
  const most = Math.min(MOST, Math.max(LEAST, 2 * Math.floor(BUDGET / paths.length / 2)));
  const own = new Float64Array(2 * paths.length);
  await inParallel([...paths.keys()], JOBS, async (i) => own.set(await look(paths[i]!, most), 2 * i));
  const all = await group.allGather(own);
  const [first] = all as [Float64Array];
  const rank = all.findIndex((seen) => seen.some((value, at) => value !== first[at]));
  if (rank < 0) return;
  const hosts = await gather(group, group.host);
  const i = Math.floor(all[rank]!.findIndex((value, at) => value !== first[at]) / 2);
  const [other, expected] = [all[rank]!, first].map((seen) => [seen[2 * i]!, seen[2 * i + 1]!] as const) as [
    Look,
    Look,
  ];
  const where = [`for rank ${rank} (${hosts[rank]})`, `for rank 0 (${hosts[0]})`];
  const difference =
    told(other) === told(expected)
      ? `holds other bytes ${where[0]} than ${where[1]}, ${expected[0]} in all`
      : `is ${told(other)} ${where[0]}, ${told(expected)} ${where[1]}`;
  throw new UserError(`processes: ${paths[i]} ${difference}: all have to see the same files`);
}

/** A file's size, and a number that its bytes make. */
type Look = readonly [size: number, digest: number];

async function look(path: string, most: number): Promise<Look> {
  const found = await stat(path).catch(() => null);
  if (!found?.isFile()) return [MISSING, 0];
  try {
    const file = await open(path);
    try {
      const whole = found.size <= most;
      const bytes = Buffer.alloc(whole ? found.size : most);
      const half = whole ? bytes.length : most / 2;
      await file.read(bytes, 0, half, 0);
      if (!whole) await file.read(bytes, half, most - half, found.size - (most - half));
      return [found.size, createHash("sha1").update(bytes).digest().readUIntBE(0, 6)];
    } finally {
      await file.close();
    }
  } catch {
    return [found.size, UNREADABLE];
  }
}

function told([size, digest]: Look): string {
  if (size === MISSING) return "missing";
  return digest === UNREADABLE ? "not readable" : `of ${size} bytes`;
}

/**
 * Compares the weights of networks that all processes have loaded.
 *
 * @throws DistributedError in all processes, naming the first tensor that differs and the rank
 */
export async function checkSameWeights(group: ProcessGroup, ...modules: readonly (Module | null)[]): Promise<void> {
  for (const module of modules) {
    // What was needed once is given back already.
    const there = [...(module?.stateDict() ?? [])].filter(([, { disposed }]) => !disposed);
    await checkSameTensors(group, new Map(there), "the weights");
  }
}
