/** What a function that is captured tells of itself while it runs. Imports no tensors, so that those may import it: they are objects here, as values and generators are. */
import type { RandomCall } from "./backend.ts";

/** Sees what a function does, and refuses what a list of launches cannot do again. */
export interface Watcher {
  /** A tensor or a generator is made. */
  made(what: object): void;
  read(tensor: object, value: object): void;
  /** True for a tensor that the function has read and did not make. */
  isOutside(tensor: object): boolean;
  /** Where the numbers that a generator gave to a device lie in a later call. */
  drawn(op: string, rng: object, reservation: Counters): () => Counters;
  /** A generator gives numbers, or another generator, to JavaScript. */
  drawnByHost(what: string): void;
  /** Work of JavaScript that belongs to each call. */
  each(work: () => void): void;
  /** What has to be so for a later call to be launched like this one. */
  expect(condition: () => boolean): void;
  /** Work that a later call does not do again. */
  once<T>(work: () => T): T;
}

/** Counters of a generator. */
type Counters = Pick<RandomCall, "key" | "counter">;

/** Set by capture.ts while a function runs that is captured. */
export const capturing: { watcher: Watcher | undefined } = { watcher: undefined };

/**
 * Runs `work`, and, in a function that is being captured, runs it before each later call too, for which JavaScript is not run again: for what is
 * counted there, as an optimizer does its steps.
 */
export function eachCall(work: () => void): void {
  work();
  capturing.watcher?.each(work);
}
