/** What the parent asks a contender's process, and what comes back. */
import type { About } from "./contender.ts";
import type { Batch } from "./statistics.ts";
import type { StepProfile } from "./training-step.ts";

/** What a process says first of a row that it does not know; those of older checkouts say it too. */
export const NO_ROW = "no row is named";

export type Request = { readonly id: number } & (
  | { readonly do: "open" }
  /** `way`: which of the library's ways; `firstRun`: the time includes one run. */
  | { readonly do: "prepare"; readonly row: string; readonly way: number; readonly firstRun: boolean }
  | { readonly do: "result" }
  /** `target`: ms that a sample should take. */
  | { readonly do: "warm up"; readonly target: number }
  | { readonly do: "run"; readonly batch: Batch }
  | { readonly do: "profile" }
  | { readonly do: "dispose" }
);

export interface Answers {
  readonly open: { readonly about: About; readonly libraries: readonly string[]; readonly ms: number };
  /** `can`: there is such a way; `reason`: why there is none at all. */
  readonly prepare: { readonly can: boolean; readonly reason?: string; readonly ms: number };
  readonly result: { readonly result: Float32Array };
  readonly "warm up": { readonly batch: Batch };
  /** ms of one run. */
  readonly run: { readonly ms: number };
  readonly profile: { readonly profile: StepProfile };
  readonly dispose: Record<string, never>;
}

export type Answer = Answers[keyof Answers];

export type Reply = { readonly id: number } & (Answer | { readonly error: string });
