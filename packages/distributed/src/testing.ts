/** Groups of "processes" that all live in one, for tests of what works in groups. */
import {
  type Communicator,
  checkRoot,
  DistributedError,
  type Numbers,
  type ProcessGroup,
  type Reduction,
  shareOf,
} from "./process-group.ts";
import { reduce } from "./reduce.ts";

/** One call, which waits for the same one of all ranks. */
interface Meeting {
  readonly kind: string;
  readonly given: Numbers[];
  readonly arrived: Promise<readonly Numbers[]>;
  readonly open: (given: readonly Numbers[]) => void;
}

/** The members of a group of `size`, to be used side by side: `Promise.all(localGroup(2).map(work))`. */
export function localGroup(size: number): ProcessGroup[] {
  const meetings: Meeting[] = [];
  const meet = (call: number, rank: number, kind: string, values: Numbers): Promise<readonly Numbers[]> => {
    meetings[call] ??= meeting(kind);
    const { kind: wanted, given, arrived, open } = meetings[call];
    if (kind !== wanted) throw new DistributedError(`rank ${rank} calls ${kind} where another one calls ${wanted}`);
    given[rank] = values.slice();
    if (Object.keys(given).length === size) open(given);
    return arrived;
  };
  const duplicates: ProcessGroup[][] = [];
  const duplicate = (call: number): readonly ProcessGroup[] => {
    duplicates[call] ??= localGroup(size);
    return duplicates[call];
  };
  return Array.from({ length: size }, (_, rank) => new LocalProcess(rank, size, meet, duplicate));
}

function meeting(kind: string): Meeting {
  let open: Meeting["open"] = () => {};
  const arrived = new Promise<readonly Numbers[]>((resolve) => {
    open = resolve;
  });
  return { kind, given: [], arrived, open };
}

class LocalProcess implements ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly host = "localhost";
  readonly library = null;
  readonly #meet: (call: number, rank: number, kind: string, values: Numbers) => Promise<readonly Numbers[]>;
  readonly #duplicate: (call: number) => readonly ProcessGroup[];
  #calls = 0;
  #duplicates = 0;

  constructor(
    rank: number,
    size: number,
    meet: (call: number, rank: number, kind: string, values: Numbers) => Promise<readonly Numbers[]>,
    duplicate: (call: number) => readonly ProcessGroup[],
  ) {
    this.rank = rank;
    this.size = size;
    this.#meet = meet;
    this.#duplicate = duplicate;
  }

  async #all<N extends Numbers>(kind: string, values: N): Promise<readonly N[]> {
    return (await this.#meet(this.#calls++, this.rank, kind, values)) as readonly N[];
  }

  async allReduce<N extends Numbers>(values: N, reduction: Reduction = "sum"): Promise<N> {
    const all = await this.#all(`allReduce ${reduction} of ${values.length}`, values);
    const rows = likeOf(values, values.length * this.size);
    for (const [rank, row] of all.entries()) rows.set(row, rank * values.length);
    const result = likeOf(values, values.length);
    reduce(rows, this.size, reduction, result);
    return result;
  }

  allReduceSync(): never {
    throw new DistributedError(
      "allReduceSync: all processes of a local group share a thread, which cannot wait for itself",
    );
  }

  async reduceScatter<N extends Numbers>(values: N, reduction: Reduction = "sum"): Promise<N> {
    return (await this.allReduce(values, reduction)).slice(...shareOf(values.length, this.rank, this.size)) as N;
  }

  async allGather<N extends Numbers>(values: N): Promise<N[]> {
    return (await this.#all("allGather", values)).map((row) => row.slice() as N);
  }

  allGatherSync(): never {
    throw new DistributedError(
      "allGatherSync: all processes of a local group share a thread, which cannot wait for itself",
    );
  }

  async broadcast<N extends Numbers>(values: N, root = 0): Promise<N> {
    checkRoot(root, this.size);
    return (await this.#all(`broadcast from ${root}`, values))[root]!.slice() as N;
  }

  async barrier(): Promise<void> {
    await this.#all("barrier", new Uint8Array(0));
  }

  async duplicate(): Promise<Communicator> {
    return this.#duplicate(this.#duplicates++)[this.rank]!;
  }

  close(): Promise<void> {
    return this.barrier();
  }

  async abort(code: number): Promise<never> {
    throw new DistributedError(`the job was ended with code ${code}`);
  }
}

function likeOf<N extends Numbers>(values: N, length: number): N {
  return new (values.constructor as new (length: number) => N)(length);
}
