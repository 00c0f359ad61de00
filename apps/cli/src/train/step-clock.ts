/** Where the time of a training goes. Times come in milliseconds from a clock that is given, and leave in seconds. */
import { byteSize, duration } from "../progress.ts";

/** Milliseconds that only grow; `performance.now` in the command. */
export type Clock = () => number;

/** Means over some steps, in seconds per step. */
export interface StepTimes {
  readonly steps: number;
  /** The whole of a step. */
  readonly time: number;
  /** Its parts by name, `data`: of each the mean over those steps that marked it. */
  readonly parts: Readonly<Record<string, number>>;
}

/** Every so many steps the device is waited for between the parts of one, to tell how long they take. */
const SAMPLED_EVERY = 50;

/** Tells a clock, once the device is done with it, that a part of a step is over. */
export type Mark = (part: string) => Promise<void>;

/** How a step marks its parts: null in most steps, which are not to wait. @param wait for the device */
export function markOf(
  clock: Pick<StepClock, "mark"> | undefined,
  step: number,
  wait: () => Promise<void>,
): Mark | null {
  if (!clock || step % SAMPLED_EVERY !== 2) return null;
  return async (part) => {
    await wait();
    clock.mark(part);
  };
}

/**
 * Measures steps and their parts.
 *
 *     clock.begin();
 *     const batch = await loader.batch(step);
 *     clock.mark("data");
 *     ...
 *     clock.end();
 *
 * A device runs behind what is recorded. So the time of a step is right as a mean from one moment to another at which the device was waited for
 * (`lap`), and a part other than `data` only in steps that wait for the device before its mark: a few of them are enough.
 */
export class StepClock {
  readonly #clock: Clock;
  readonly #started: number;
  readonly #lap: Tally;
  readonly #all: Tally;
  readonly #seen = new Set<string>();
  #marked: number;

  constructor(clock: Clock = () => performance.now()) {
    this.#clock = clock;
    this.#started = clock();
    this.#marked = this.#started;
    this.#lap = new Tally(this.#started);
    this.#all = new Tally(this.#started);
  }

  /** A step begins. */
  begin(): void {
    this.#seen.clear();
    this.#marked = this.#clock();
  }

  /** What ran since the last mark, or since the step began, belongs to this part. A step that marks a part several times has their sum. */
  mark(part: string): void {
    const now = this.#clock();
    for (const tally of [this.#lap, this.#all]) tally.add(part, now - this.#marked, this.#seen.has(part) ? 0 : 1);
    this.#seen.add(part);
    this.#marked = now;
  }

  /** The step is over, for whoever records it. */
  end(): void {
    for (const tally of [this.#lap, this.#all]) tally.steps += 1;
  }

  /** Does what belongs to no step: a checkpoint, a validation. */
  async apart<T>(work: () => Promise<T>): Promise<T> {
    const from = this.#clock();
    try {
      return await work();
    } finally {
      for (const tally of [this.#lap, this.#all]) tally.apart += this.#clock() - from;
    }
  }

  /** The steps since the last call; to be asked right after the device was waited for. */
  lap(): StepTimes {
    const now = this.#clock();
    const times = this.#lap.times(now);
    this.#lap.reset(now);
    return times;
  }

  /** All steps so far. */
  total(): StepTimes {
    return this.#all.times(this.#clock());
  }

  /** Seconds since the start, everything included. */
  seconds(): number {
    return (this.#clock() - this.#started) / 1000;
  }

  /** Seconds that `steps` more will take if they fare as those so far, checkpoints and validations included; Infinity before the first one ended. */
  secondsFor(steps: number): number {
    return steps === 0 ? 0 : (this.seconds() / this.#all.steps) * steps;
  }
}

/** Sums over steps, in milliseconds. */
class Tally {
  steps = 0;
  apart = 0;
  #since: number;
  readonly #parts = new Map<string, { sum: number; count: number }>();

  constructor(since: number) {
    this.#since = since;
  }

  /** @param steps 1, or 0 where the time is of a step that was counted already */
  add(part: string, time: number, steps: 0 | 1): void {
    const { sum, count } = this.#parts.get(part) ?? { sum: 0, count: 0 };
    this.#parts.set(part, { sum: sum + time, count: count + steps });
  }

  times(now: number): StepTimes {
    const time = this.steps === 0 ? 0 : (now - this.#since - this.apart) / this.steps / 1000;
    const parts = [...this.#parts].map(([name, { sum, count }]) => [name, sum / count / 1000]);
    return { steps: this.steps, time, parts: Object.fromEntries(parts) };
  }

  reset(now: number): void {
    this.#since = now;
    this.steps = 0;
    this.apart = 0;
    this.#parts.clear();
  }
}

/** Says when the bar should move: at the first step, and then at the first one that ends `every` milliseconds after the last move. */
export class Gauge {
  readonly #clock: Clock;
  readonly #every: number;
  #moved = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock = () => performance.now(), every = 10_000) {
    this.#clock = clock;
    this.#every = every;
  }

  /** To be asked once after each step. True: read the numbers and move the bar. */
  due(): boolean {
    const now = this.#clock();
    if (now - this.#moved < this.#every) return false;
    this.#moved = now;
    return true;
  }
}

/** The share of a step that its data takes, 0 to 1. */
export function dataShare({ time, parts }: StepTimes): number {
  return time > 0 ? (parts.data ?? 0) / time : 0;
}

/**
 * The words behind the bar, which itself tells step/s and the time left: `l_pix 0.0123  data 0.4 %  peak 1.2 GiB`.
 *
 * @param loss the name and value of what is watched
 * @param peakLiveBytes of `device.memory()`
 */
export function barNote(loss: readonly [name: string, value: number], times: StepTimes, peakLiveBytes: number): string {
  const [name, value] = loss;
  return `${name} ${value.toFixed(4)}  data ${percent(dataShare(times))}  peak ${byteSize(peakLiveBytes)}`;
}

/** A share as text: `0.4 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** A time per step for people: `12 ms`, `3.2 s`. */
export function perStep(seconds: number): string {
  return seconds < 0.9995 ? `${(1000 * seconds).toFixed(seconds < 0.00995 ? 1 : 0)} ms` : duration(seconds);
}
