/** How much longer something takes that is done in equal parts. */

/** Parts after which it can be told. */
const FIRST = 2;
/** How much of what was thought before stays after each part. */
const SMOOTHING = 0.8;

/** A clock of parts. */
export class TimeLeft {
  #last = performance.now();
  #each: number | null = null;

  /** Seconds until the end; null until it can be told. */
  after(done: number, total: number): number | null {
    const now = performance.now();
    const took = (now - this.#last) / 1000;
    this.#last = now;
    // The first one prepares for all.
    if (done >= FIRST) this.#each = this.#each === null ? took : SMOOTHING * this.#each + (1 - SMOOTHING) * took;
    return this.#each === null ? null : this.#each * (total - done);
  }
}
