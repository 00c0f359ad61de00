/** What the calling thread and the one that talks to MPI tell each other. */
import type { Launcher } from "../launcher.ts";
import type { Numbers, Reduction } from "../process-group.ts";

/** What the thread of MPI is started with. */
export interface ThreadData extends Launcher {
  /** Becomes the exit code of an abort, and wakes the thread; see `ABORT`. */
  readonly signal: SharedArrayBuffer;
}

/** Words of `ThreadData.signal`. */
export const CALLS = 0;
export const ABORT = 1;
/** What is stored for an exit code, which may be 0. */
export const ABORTED = 0x10000;

/** A call, with the number that its answer has. */
export interface Call {
  readonly id: number;
  readonly operation: Operation;
}

/** What is asked for. */
export type Operation =
  | { readonly kind: "allReduce" | "reduceScatter"; readonly values: Numbers; readonly reduction: Reduction }
  | { readonly kind: "allGather"; readonly values: Numbers }
  | { readonly kind: "broadcast"; readonly values: Numbers; readonly root: number }
  | { readonly kind: "barrier" }
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
