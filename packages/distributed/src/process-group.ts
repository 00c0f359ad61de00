/** Processes that work on one job together. */

/** What is exchanged: numbers in any of these arrays. */
export type Numbers = Float32Array | Float64Array | Int32Array | Uint8Array;

/** How values of several processes become one. */
export type Reduction = "sum" | "max" | "min";

/**
 * The processes of a job, each with a rank from 0 on, and exchanges between them. All of them call the same methods in the same order, with arrays of the same type,
 * and of the same length but where something else is said. Calls may overlap with other work: they are served one after the other, aside from the calling thread.
 *
 * Every method rejects with a `DistributedError` that names rank, host and operation; those that end in `Sync` throw it.
 */
export interface Communicator {
  readonly rank: number;
  /** How many processes there are. */
  readonly size: number;
  /**
   * Element by element the sum, largest or smallest of all processes' values, the same bits in each of them. Sums are made in the order of ranks, in
   * 64 bits, and rounded once, so that two runs of as many processes agree to the bit.
   */
  allReduce<N extends Numbers>(values: N, reduction?: Reduction): Promise<N>;
  /** The same where the calling thread has nothing else to do: it stands still until all processes are there. */
  allReduceSync<N extends Numbers>(values: N, reduction?: Reduction): N;
  /** As `allReduce`, but each process gets its share of the result only, see `shareOf`. */
  reduceScatter<N extends Numbers>(values: N, reduction?: Reduction): Promise<N>;
  /** Every process's values, by rank; lengths may differ. */
  allGather<N extends Numbers>(values: N): Promise<N[]>;
  /** The same, as `allReduceSync` waits. */
  allGatherSync<N extends Numbers>(values: N): N[];
  /** The values of one process in all of them; those of the others only say how many there are. */
  broadcast<N extends Numbers>(values: N, root?: number): Promise<N>;
  /** Waits until all processes are here. */
  barrier(): Promise<void>;
}

/** The processes of a job, and the job itself. */
export interface ProcessGroup extends Communicator {
  /** The machine that this one runs on. */
  readonly host: string;
  /** What carries the messages, "Open MPI 4.1.4"; null for a process that is alone. */
  readonly library: string | null;
  /** The same processes with an order of their own: calls of this one and of that one may come in another order in each process, and do not wait for each other. */
  duplicate(): Promise<Communicator>;
  /** Leaves the job, once all that was called is done. The other processes have to as well. */
  close(): Promise<void>;
  /** Ends all processes of the job at once, this one too, with an exit code. Never resolves. */
  abort(code: number): Promise<never>;
}

/** What went wrong between processes. */
export class DistributedError extends Error {
  override readonly name = "DistributedError";
}

/** The part `[from, to)` of `length` items that falls to a rank: as equal as can be, the first ranks have one more. */
export function shareOf(length: number, rank: number, size: number): readonly [from: number, to: number] {
  const least = Math.floor(length / size);
  const more = length % size;
  const from = rank * least + Math.min(rank, more);
  return [from, from + least + (rank < more ? 1 : 0)];
}

/** A process that works alone: everything is there already. */
export class SingleProcess implements ProcessGroup {
  readonly rank = 0;
  readonly size = 1;
  readonly library = null;
  readonly host: string;

  constructor(host = "localhost") {
    this.host = host;
  }

  allReduce<N extends Numbers>(values: N): Promise<N> {
    return Promise.resolve(this.allReduceSync(values));
  }

  allReduceSync<N extends Numbers>(values: N): N {
    return values.slice() as N;
  }

  reduceScatter<N extends Numbers>(values: N): Promise<N> {
    return this.allReduce(values);
  }

  allGather<N extends Numbers>(values: N): Promise<N[]> {
    return Promise.resolve(this.allGatherSync(values));
  }

  allGatherSync<N extends Numbers>(values: N): N[] {
    return [values.slice() as N];
  }

  async broadcast<N extends Numbers>(values: N, root = 0): Promise<N> {
    checkRoot(root, 1);
    return this.allReduce(values);
  }

  barrier(): Promise<void> {
    return Promise.resolve();
  }

  duplicate(): Promise<Communicator> {
    return Promise.resolve(this);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** There are no others that would wait: the process ends by the error of this promise. */
  async abort(code: number): Promise<never> {
    throw new DistributedError(`the job was ended with code ${code}`);
  }
}

/** @throws RangeError for a rank that there is none of */
export function checkRoot(root: number, size: number): void {
  if (!(Number.isInteger(root) && root >= 0 && root < size))
    throw new RangeError(`broadcast: root ${root} must be a rank, 0 to ${size - 1}`);
}
