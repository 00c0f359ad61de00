/**
 * Ctrl-C. The first one asks: the loop that is running finishes its step, saves and returns. The second one leaves at once; temporary
 * files are removed on the way out (see `files.ts`), so that nothing half-written stays.
 *
 * SIGUSR2 asks as well, and no more, however often it comes: schedulers send it, and SIGTERM after it when the time is up, with some seconds left to save in.
 */
import { constants } from "node:os";
import { leaveAtOnce } from "./files.ts";
import { tellLauncher } from "./launcher.ts";

/** A Ctrl-C may arrive twice, from the terminal and from a launcher that passes it on; only a later one is a second one. */
const SAME_PRESS_MS = 500;

/** SIGUSR2 is what Open MPI's mpirun passes on to its processes without killing them soon after. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const;

/** Listens for Ctrl-C (and SIGTERM, SIGHUP and SIGUSR2) from `listen()` until `release()`. */
export class Interrupt {
  #requestedAt: number | undefined;
  #signal: (typeof SIGNALS)[number] | undefined;
  readonly #announce: (line: string) => void;
  readonly #handler = (signal: (typeof SIGNALS)[number]): void => this.#signalled(signal);

  /** @param announce prints one line for the person at the terminal */
  constructor(announce: (line: string) => void) {
    this.#announce = announce;
  }

  /** Whether a Ctrl-C has arrived. Loops look at it once per step. */
  get requested(): boolean {
    return this.#requestedAt !== undefined;
  }

  /** The code that a process which was asked to stop ends with: 128 and the number of the signal; 0 where none has come. */
  get exitCode(): number {
    return this.#signal === undefined ? 0 : 128 + constants.signals[this.#signal];
  }

  /** Starts listening; returns itself so that it can be a one-liner. */
  listen(): this {
    for (const signal of SIGNALS) process.on(signal, this.#handler);
    tellLauncher({ saves: true });
    return this;
  }

  /**
   * Stops listening: a later Ctrl-C ends the process as usual. Where one has come this goes on: the process is about to end by itself, and what its launcher
   * passes on of the same press may still be on its way.
   */
  release(): void {
    if (this.requested) return;
    for (const signal of SIGNALS) process.off(signal, this.#handler);
    tellLauncher({ saves: false });
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #signalled(signal: (typeof SIGNALS)[number]): void {
    const now = performance.now();
    if (this.#requestedAt !== undefined && now - this.#requestedAt < SAME_PRESS_MS) return;
    if (this.#requestedAt !== undefined) {
      if (signal === "SIGUSR2" || (signal === "SIGTERM" && this.#signal === "SIGUSR2")) return;
      this.#announce("interrupted again: leaving at once");
      void leaveAtOnce(signal);
      return;
    }
    this.#requestedAt = now;
    this.#signal = signal;
    this.#announce("interrupted: finishing this step and saving (Ctrl-C again leaves at once)");
  }
}
