/**
 * Which batches of a data set belong to a step, and which of them to one of the processes that train together: a step of `ranks` processes that have
 * `parts` batches each takes the batches that one process takes which has `ranks * parts` of them.
 */

import { counted } from "../output.ts";

/** Where a course stands, for checkpoints: what it is since a step. */
export interface CourseState {
  /** The step after which it began. */
  readonly since: number;
  /** Batches that were taken before. */
  readonly before: number;
  readonly ranks: number;
  readonly parts: number;
}

/** The batches of one process. Its turns, from 1 on, are counted since the last change of processes or parts. */
export class BatchCourse {
  readonly rank: number;
  readonly #ranks: number;
  readonly #parts: number;
  #since = 0;
  #before = 0;

  /** @param parts batches that a process has in a step, one after the other */
  constructor({ rank, size }: { readonly rank: number; readonly size: number }, parts: number) {
    this.rank = rank;
    this.#ranks = size;
    this.#parts = parts;
  }

  get state(): CourseState {
    return { since: this.#since, before: this.#before, ranks: this.#ranks, parts: this.#parts };
  }

  /** Batches of all processes in a step. */
  get perStep(): number {
    return this.#ranks * this.#parts;
  }

  /**
   * Goes on after a step of a training.
   *
   * @param saved how that went; where it is not known, in one process
   * @returns what is not as it was, in one line, or null
   */
  goOn(step: number, saved: CourseState = { since: 0, before: 0, ranks: 1, parts: this.#parts }): string | null {
    const { since, before, ranks, parts } = saved;
    if (ranks === this.#ranks && parts === this.#parts) {
      this.#since = since;
      this.#before = before;
      return null;
    }
    this.#since = step;
    this.#before = before + (step - since) * ranks * parts;
    const each = (processes: number, batches: number): string =>
      `${counted(processes, "process", "processes")} of ${counted(batches, "batch", "batches")} each`;
    return `${each(this.#ranks, this.#parts)} where there were ${each(ranks, parts)}: batch ${this.#before + 1} of the data set is next all the same`;
  }

  /** The turns of this process in a step. */
  turnsOf(step: number): number[] {
    const first = (step - 1 - this.#since) * this.#parts + 1;
    return Array.from({ length: this.#parts }, (_, i) => first + i);
  }

  /** The batch of a turn, from 1. */
  batchOf(turn: number): number {
    const [step, part] = [Math.floor((turn - 1) / this.#parts), (turn - 1) % this.#parts];
    return this.#before + step * this.perStep + this.rank * this.#parts + part + 1;
  }

  /** Batches that all processes have taken before a step. */
  takenBefore(step: number): number {
    return this.#before + (step - 1 - this.#since) * this.perStep;
  }
}
