/** Calls that are served one after the other, beside those of other lanes. */
import type { Steps } from "./collectives.ts";
import type { Exchange } from "./library.ts";
import type { Call } from "./protocol.ts";

/** What a call comes to. */
export type Result = { readonly result: unknown } | { readonly error: unknown };

/** The calls of one communicator. */
export class Lane {
  readonly #begin: (call: Call) => Steps<unknown>;
  readonly #end: (call: Call, result: Result) => void;
  readonly #calls: Call[] = [];
  #current: { readonly call: Call; readonly steps: Steps<unknown>; waitsFor?: Exchange } | undefined;

  constructor(begin: (call: Call) => Steps<unknown>, end: (call: Call, result: Result) => void) {
    this.#begin = begin;
    this.#end = end;
  }

  /** Whether there is nothing to do. */
  get idle(): boolean {
    return this.#current === undefined && this.#calls.length === 0;
  }

  push(call: Call): void {
    this.#calls.push(call);
  }

  /** Goes as far as it can without waiting. False where that is nowhere. */
  advance(): boolean {
    for (let moved = false; ; moved = true) {
      const next = this.#calls[0];
      if (this.#current === undefined && next === undefined) return moved;
      this.#current ??= { call: next!, steps: this.#begin(this.#calls.shift()!) };
      const { call, steps, waitsFor } = this.#current;
      let ended: Result;
      try {
        if (waitsFor && !waitsFor.isDone()) return moved;
        const step = steps.next();
        if (!step.done) {
          this.#current = { call, steps, waitsFor: step.value };
          continue;
        }
        ended = { result: step.value };
      } catch (error) {
        ended = { error };
      }
      this.#current = undefined;
      this.#end(call, ended);
    }
  }
}
