import type { Shape } from "@deplsr/tensor";
import type { StepProfile } from "./training-step.ts";

/** Work that is ready to run on one contender, its inputs on the device. */
export interface Task {
  /** The numbers to check, computed the way `run` computes them. */
  result(): Promise<Float32Array>;
  /** Does the work `count` times and waits until the device is done with it. */
  run(count: number): Promise<void>;
  /** Looks into a training step. */
  profile?(): Promise<StepProfile>;
  dispose(): void;
}

/** Prepares a row's work with an open library. */
export type Prepare<A> = (api: A) => Promise<Task>;

/** A library's ways to do a row's work, the quickest first; or why it has none. */
export type Ways<A> = readonly Prepare<A>[] | string;

/** Prepares one of the ways; gives the reason where there is none, undefined where it is not known or the ways are at their end. */
export function prepareWay<A>(ways: Ways<A> | undefined, way: number, api: A): Promise<Task> | string | undefined {
  return typeof ways === "string" ? ways : ways?.[way]?.(api);
}

/** An operation's inputs in the order of axes that a contender wants, and how its output is read. */
export interface Feeds {
  readonly inputs: Readonly<Record<string, { readonly shape: Shape; readonly data: Float32Array }>>;
  /** Shape of what the contender makes. */
  readonly output: Shape;
  /** The contender's output in the row's order of axes. */
  readonly read: (output: Float32Array) => Float32Array;
}
