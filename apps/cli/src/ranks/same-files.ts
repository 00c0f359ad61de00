/** What the processes of a job read: the first one makes the list of files, and the others have to see the same ones. */
import { stat } from "node:fs/promises";
import { checkSameTensors, type ProcessGroup } from "@deplsr/distributed";
import type { Module } from "@deplsr/nn";
import { inParallel } from "../data/jobs.ts";
import { UserError } from "../errors.ts";
import { gather } from "./exchange.ts";

/** Files that are looked at side by side. */
const JOBS = 32;
/** In the place of a size. */
const MISSING = -1;

/**
 * Compares the sizes of files between the processes. One that is missing in all of them is for their work to tell.
 *
 * @throws UserError in all processes, the same one in each, naming the first file that some of them see otherwise
 */
export async function checkSameFiles(group: ProcessGroup, paths: readonly string[]): Promise<void> {
  if (group.size === 1) return;
  const sizes = new Float64Array(paths.length).fill(MISSING);
  await inParallel([...paths.keys()], JOBS, async (i) => {
    const found = await stat(paths[i]!).catch(() => null);
    if (found?.isFile()) sizes[i] = found.size;
  });
  const all = await group.allGather(sizes);
  const [first] = all as [Float64Array];
  const rank = all.findIndex((own) => own.some((size, i) => size !== first[i]));
  if (rank < 0) return;
  const hosts = await gather(group, group.host);
  const i = all[rank]!.findIndex((size, i) => size !== first[i]);
  const seen = (size: number): string => (size === MISSING ? "missing" : `of ${size} bytes`);
  throw new UserError(
    `processes: ${paths[i]} is ${seen(all[rank]![i]!)} for rank ${rank} (${hosts[rank]}), ${seen(first[i]!)} for rank 0 (${hosts[0]}): all have to see the same files`,
  );
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
