/** Which of the processes of a training the others wait for, and why. */
import type { ProcessGroup } from "@deplsr/distributed";
import { gather } from "../ranks/exchange.ts";
import { type Clock, perStep } from "./step-clock.ts";

/** Seconds of a step until its gradients are there: for its batch, and for computing with it. */
export interface OwnTimes {
  readonly data: number;
  readonly compute: number;
}

/** Processes are compared after so many steps. */
const EVERY = 50;
/** One is slow that takes so much longer than the one in the middle. */
const SLOW = 1.3;

/** Compares the processes of a training. */
export class SlowRanks {
  readonly #group: ProcessGroup;
  readonly #clock: Clock;
  readonly #every: number;
  #began = 0;
  #loaded = 0;
  #steps = 0;
  #sum: OwnTimes = { data: 0, compute: 0 };
  #said = "";
  /** Gets what the first process is to say. */
  onSlow: (line: string) => void = () => {};

  constructor(
    group: ProcessGroup,
    { clock = () => performance.now(), every = EVERY }: { clock?: Clock; every?: number } = {},
  ) {
    this.#group = group;
    this.#clock = clock;
    this.#every = every;
  }

  /** A step begins. */
  begin(): void {
    this.#began = this.#clock();
    this.#loaded = this.#began;
  }

  /** Its batch is there. */
  loaded(): void {
    this.#loaded = this.#clock();
  }

  /** The gradients of all processes are there. @param waited seconds that this one was waiting for the others' */
  async summed(waited: number): Promise<void> {
    const { data, compute } = this.#sum;
    this.#sum = {
      data: data + (this.#loaded - this.#began) / 1000,
      compute: compute + (this.#clock() - this.#loaded) / 1000 - waited,
    };
    if (++this.#steps % this.#every !== 0) return;
    const own = { data: this.#sum.data / this.#every, compute: this.#sum.compute / this.#every };
    this.#sum = { data: 0, compute: 0 };
    const all = await gather(this.#group, { ...own, host: this.#group.host });
    const found = slowest(all);
    const key = found === null ? "" : `${found.rank} ${found.part}`;
    // What stays as it is, is said once.
    if (found !== null && key !== this.#said) this.onSlow(slowLine(all, found));
    this.#said = key;
  }
}

/** The process that the others wait for most, and which part of its steps takes longer than theirs; null where all are about as fast. */
export function slowest(all: readonly OwnTimes[]): { readonly rank: number; readonly part: keyof OwnTimes } | null {
  const total = ({ data, compute }: OwnTimes): number => data + compute;
  const rank = all.reduce((slow, times, rank) => (total(times) > total(all[slow]!) ? rank : slow), 0);
  const own = all[rank]!;
  if (total(own) <= SLOW * middle(all.map(total))) return null;
  const more = (part: keyof OwnTimes): number => own[part] - middle(all.map((times) => times[part]));
  return { rank, part: more("data") > more("compute") ? "data" : "compute" };
}

function slowLine(
  all: readonly (OwnTimes & { readonly host: string })[],
  { rank, part }: { readonly rank: number; readonly part: keyof OwnTimes },
): string {
  const { host, [part]: own } = all[rank]!;
  const others = middle(all.map((times) => times[part]));
  return `the others wait for rank ${rank} on ${host}: ${part} takes it ${perStep(own)} a step, ${perStep(others)} in the middle of all`;
}

/** The value in the middle, the lower one of two. */
function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1]!;
}
