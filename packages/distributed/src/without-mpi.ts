/** Browsers have no MPI. */
import type { Environment } from "./launcher.ts";
import { type ProcessGroup, SingleProcess } from "./process-group.ts";

/** A process that is alone. */
export function openProcessGroup(_environment?: Environment): Promise<ProcessGroup> {
  return Promise.resolve(new SingleProcess());
}
