/** The MPIs of this machine, for tests: each is started with its own mpirun. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** An MPI that jobs can be started with. */
export interface InstalledMpi {
  readonly name: "Open MPI" | "MPICH";
  readonly command: string;
  /** Words before the number of processes. */
  readonly options: readonly string[];
}

/** What a job came to. */
export interface JobResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** What is installed: Debian lets both stand side by side under these names. */
export function installedMpis(): readonly InstalledMpi[] {
  const known: readonly InstalledMpi[] = [
    // A rank for each core would be refused otherwise, and each would have that core for itself.
    { name: "Open MPI", command: "mpirun.openmpi", options: ["--oversubscribe", "--bind-to", "none"] },
    { name: "MPICH", command: "mpirun.mpich", options: [] },
  ];
  return known.filter(({ command }) => isOnPath(command));
}

/** A job that goes on. */
export interface RunningJob {
  /** mpirun. */
  readonly launcher: ChildProcess;
  readonly finished: Promise<JobResult>;
}

/** Runs a job of several processes to its end, or kills it after a while. */
export function runJob(...job: Parameters<typeof startJob>): Promise<JobResult> {
  return startJob(...job).finished;
}

/** Starts it. */
export function startJob(
  { command, options }: InstalledMpi,
  processes: number,
  words: readonly string[],
  { env = {}, milliseconds = 90_000, cwd }: { env?: Record<string, string>; milliseconds?: number; cwd?: string } = {},
): RunningJob {
  const started = performance.now();
  // Open MPI refuses root unless it is told twice.
  const root = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  const job = spawn(command, [...options, "-n", String(processes), ...words], {
    env: { ...process.env, ...root, ...env },
    cwd,
    timeout: milliseconds,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  job.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  job.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<JobResult>((resolve, reject) => {
    job.on("error", reject);
    job.on("close", (code) => resolve({ code, stdout, stderr, seconds: (performance.now() - started) / 1000 }));
  });
  return { launcher: job, finished };
}

function isOnPath(command: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
