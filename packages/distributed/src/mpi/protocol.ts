/** What the calling thread and the one that talks to MPI tell each other. */
import type { MessagePort } from "node:worker_threads";
import type { Launcher } from "../launcher.ts";
import type { Numbers, Reduction } from "../process-group.ts";

/** What the thread of MPI is started with. */
export interface ThreadData extends Launcher {
  /** What wakes each of the two, and the exit code of an abort. */
  readonly signal: SharedArrayBuffer;
  /** Where the answers go that the calling thread stands still for. */
  readonly answers: MessagePort;
}

/** Words of `ThreadData.signal`: how often the thread of MPI was called, what it is to end the job with, and how many answers went to `answers`. */
export const CALLS = 0;
export const ABORT = 1;
export const ANSWERS = 2;
export const WORDS = 3;
/** What is stored for an exit code, which may be 0. */
export const ABORTED = 0x10000;

/** A call, with the number that its answer has. */
export interface Call {
  readonly id: number;
  /** Calls of a lane are served one after the other, lanes side by side. The job's own is number 0. */
  readonly lane: number;
  /** Whether the calling thread stands still for it. */
  readonly sync: boolean;
  readonly operation: Operation;
}

/** What is asked for. */
export type Operation =
  | { readonly kind: "allReduce" | "reduceScatter"; readonly values: Numbers; readonly reduction: Reduction }
  | { readonly kind: "allGather"; readonly values: Numbers }
  | { readonly kind: "broadcast"; readonly values: Numbers; readonly root: number }
  | { readonly kind: "barrier" }
  /** Opens a lane. */
  | { readonly kind: "duplicate"; readonly lane: number }
  | { readonly kind: "close" };

/** What comes back: at first who this process is. */
export type Answer =
  | { readonly joined: Joined }
  | { readonly id: number; readonly result: Numbers | readonly Numbers[] | null }
  | { readonly id: number; readonly error: string }
  /** Nothing works any more. */
  | { readonly id: null; readonly error: string };

/** Who a process is. */
export interface Joined {
  readonly rank: number;
  readonly size: number;
  readonly host: string;
  readonly library: string;
}
