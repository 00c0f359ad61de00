/** What the layers of all processes tell each other, with the time that they wait for it. */
import type { Communicator } from "@deplsr/distributed";
import type { SyncGroup } from "@deplsr/nn";
import type { Clock } from "./step-clock.ts";

/** The exchanges of normalisations. */
export class TimedExchange implements SyncGroup {
  readonly size: number;
  readonly #among: Communicator;
  readonly #clock: Clock;
  #waited = 0;

  /** @param among whose calls are these alone */
  constructor(among: Communicator, clock: Clock = () => performance.now()) {
    this.size = among.size;
    this.#among = among;
    this.#clock = clock;
  }

  /** Milliseconds that this process has waited for others since it was asked last. */
  takeWaited(): number {
    const waited = this.#waited;
    this.#waited = 0;
    return waited;
  }

  allGather(values: Float64Array): Promise<Float64Array[]> {
    return this.#later(() => this.#among.allGather(values));
  }

  allGatherSync(values: Float64Array): Float64Array[] {
    return this.#now(() => this.#among.allGatherSync(values));
  }

  allReduce(values: Float64Array): Promise<Float64Array> {
    return this.#later(() => this.#among.allReduce(values));
  }

  allReduceSync(values: Float64Array): Float64Array {
    return this.#now(() => this.#among.allReduceSync(values));
  }

  async #later<Result>(exchange: () => Promise<Result>): Promise<Result> {
    const began = this.#clock();
    const result = await exchange();
    this.#waited += this.#clock() - began;
    return result;
  }

  #now<Result>(exchange: () => Result): Result {
    const began = this.#clock();
    const result = exchange();
    this.#waited += this.#clock() - began;
    return result;
  }
}
