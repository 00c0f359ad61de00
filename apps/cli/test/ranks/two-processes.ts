/** Jobs of two processes of the command, for tests that end one of them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type InstalledMpi, type JobResult, type RunningJob, startJob } from "../../../../scripts/mpi.ts";
import { LAUNCHER } from "../commands/run-command.ts";

/** How a job is started. */
export interface TwoProcesses {
  /** Where it runs; each of its processes leaves its number there. */
  readonly cwd: string;
  readonly milliseconds: number;
  /** Run by each before the command, with `RANK` for its rank. */
  readonly script?: string;
}

/** Starts the command in two processes of an MPI. */
export function startTwo(
  mpi: InstalledMpi,
  words: readonly string[],
  { cwd, milliseconds, script = "" }: TwoProcesses,
): RunningJob {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
  const rank = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}";
  const run = `echo $$ > pid-${rank}; ${script.replaceAll("RANK", rank)} exec "$0" "$@"`;
  return startJob(mpi, 2, ["sh", "-c", run, process.execPath, LAUNCHER, ...words], { cwd, milliseconds });
}

/** The process that computes in a rank: the child of its launcher. */
export function computing(cwd: string, rank: number): number {
  const pid = readFileSync(join(cwd, `pid-${rank}`), "utf8").trim();
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

/** Waits until a job has come so far. */
export async function until({ finished }: RunningJob, there: () => boolean): Promise<void> {
  let ended: JobResult | undefined;
  void finished.then((result) => {
    ended = result;
  });
  while (!ended && !there()) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(there(), ended && `${ended.stdout}${ended.stderr}`).toBe(true);
}
