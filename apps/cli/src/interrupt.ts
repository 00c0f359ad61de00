/**
 * Ctrl-C. The first one asks: the loop that is running finishes its step, saves and returns. The second one leaves at once; temporary
 * files are removed on the way out (see `files.ts`), so that nothing half-written stays.
 */

import { leaveAtOnce } from "./files.ts";

/** A Ctrl-C may arrive twice, from the terminal and from a launcher that passes it on; only a later one is a second one. */
const SAME_PRESS_MS = 500;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Listens for Ctrl-C (and SIGTERM) from `listen()` until `release()`. */
export class Interrupt {
  #requestedAt: number | undefined;
  readonly #announce: (line: string) => void;
  readonly #handler = (): void => this.#signalled();

  /** @param announce prints one line for the person at the terminal */
  constructor(announce: (line: string) => void) {
    this.#announce = announce;
  }

  /** Whether a Ctrl-C has arrived. Loops look at it once per step. */
  get requested(): boolean {
    return this.#requestedAt !== undefined;
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
    const now = performance.now();
    if (this.#requestedAt !== undefined && now - this.#requestedAt < SAME_PRESS_MS) return;
    if (this.#requestedAt !== undefined) {
      this.#announce("interrupted again: leaving at once");
      void leaveAtOnce("SIGINT");
      return;
    }
    this.#requestedAt = now;
    this.#announce("interrupted: finishing this step and saving (Ctrl-C again leaves at once)");
  }
}
