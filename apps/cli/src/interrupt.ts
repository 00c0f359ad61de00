/**
 * Ctrl-C. The first one asks: the loop that is running finishes its step, saves and returns. The second one leaves at once; temporary
 * files are removed on the way out (see `files.ts`), so that nothing half-written stays.
 */

import { leaveAtOnce } from "./files.ts";

/** The exit code of a process that a Ctrl-C ended, by the shell's convention 128 + SIGINT. */
export const INTERRUPTED = 130;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Listens for Ctrl-C (and SIGTERM) from `listen()` until `release()`. */
export class Interrupt {
  #requested = false;
  readonly #announce: (line: string) => void;
  readonly #handler = (): void => this.#signalled();

  /** @param announce prints one line for the person at the terminal */
  constructor(announce: (line: string) => void) {
    this.#announce = announce;
  }

  /** Whether a Ctrl-C has arrived. Loops look at it once per step. */
  get requested(): boolean {
    return this.#requested;
  }

  /** Starts listening; returns itself so that it can be a one-liner. */
  listen(): this {
    for (const signal of SIGNALS) process.on(signal, this.#handler);
    return this;
  }

  /** Stops listening: a later Ctrl-C ends the process as usual. */
  release(): void {
    for (const signal of SIGNALS) process.off(signal, this.#handler);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #signalled(): void {
    if (this.#requested) {
      this.#announce("interrupted again: leaving at once");
      void leaveAtOnce(INTERRUPTED);
      return;
    }
    this.#requested = true;
    this.#announce("interrupted: finishing this step and saving (Ctrl-C again leaves at once)");
  }
}
