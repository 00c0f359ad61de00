/** A watch over the start of a job, which MPI has none of: MPI_Init waits for ranks that died as long as for those that are slow, and cannot be called off. */
import { writeSync } from "node:fs";
import { hostname } from "node:os";
import koffi from "koffi";
import type { Environment, Launcher } from "../launcher.ts";
import { DistributedError } from "../process-group.ts";

/** Hundreds of ranks that read Node and networks from one shared folder take minutes, of which MPI_Init sees the spread only. */
const SECONDS = 120;
/** What timers count to. */
const MOST_SECONDS = (2 ** 31 - 1) / 1000;

/** How many seconds the start of a job may take; 0 for ever. @throws DistributedError for what is no number of seconds */
export function startTimeout({ DEPLSR_MPI_START_TIMEOUT: text }: Environment): number {
  const seconds = Number(text?.trim() || SECONDS);
  if (!(seconds >= 0)) {
    throw new DistributedError(
      `DEPLSR_MPI_START_TIMEOUT is ${JSON.stringify(text)}: expected a number of seconds, 0 to wait for ever`,
    );
  }
  return Math.min(seconds, MOST_SECONDS);
}

/** Ends this process, and with it the job, where the start takes longer. → a function that calls the watch off */
export function watchStart({ rank, size }: Launcher, seconds: number): () => void {
  if (seconds === 0) return () => {};
  const timer = setTimeout(() => {
    const which = `${rank === null ? "a rank" : `rank ${rank}`}${size === null ? "" : ` of ${size}`} on ${hostname()}`;
    // Straight to the file, since nothing is written after this. One that is gone must not keep the process.
    try {
      writeSync(
        2,
        `error: MPI: ${which} has waited ${seconds} s in MPI_Init for the other processes of its job, of which one has died or does not start: start the job again, or set DEPLSR_MPI_START_TIMEOUT to more seconds (0 waits for ever)\n`,
      );
    } catch {}
    leave();
  }, seconds * 1000);
  timer.unref();
  return () => clearTimeout(timer);
}

/** An orderly exit would wait for the thread that MPI blocks. */
function leave(): void {
  try {
    koffi.load(null).func("_exit", "void", ["int"])(1);
  } catch {
    process.kill(process.pid, "SIGKILL");
  }
}
