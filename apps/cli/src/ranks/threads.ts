/** Processes on one machine share its cores. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { ProcessGroup } from "@deplsr/distributed";
import { gather } from "./exchange.ts";

/** Gives each process on a machine its share of the cores for the CPU backend, unless `DEPLSR_THREADS` is set. */
export async function shareCores(group: ProcessGroup, environment: Record<string, string | undefined>): Promise<void> {
  const own = `${group.host} ${allowedCores()}`;
  const all = await gather(group, own);
  environment.DEPLSR_THREADS ||= String(threadsOf(availableParallelism(), all, own));
}

/**
 * Threads of one process.
 *
 * @param cores that it may use
 * @param places machine and cores of all processes: those of one place share it, while cores that a launcher has divided are their process's own
 */
export function threadsOf(cores: number, places: readonly string[], own: string): number {
  return Math.max(1, Math.floor(cores / places.filter((place) => place === own).length));
}

/** The cores that the system lets this process run on, `0-3,8`; empty where it does not tell. */
function allowedCores(): string {
  try {
    return /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}
