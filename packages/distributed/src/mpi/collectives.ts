/** What a process group does, out of exchanges of bytes. */
import { checkRoot, type Numbers, type Reduction, shareOf } from "../process-group.ts";
import { reduce } from "../reduce.ts";
import type { Exchange, MpiCommunicator, Places } from "./library.ts";

/** An operation, which gives each exchange that it has begun and goes on once that is done. */
export type Steps<Result> = Generator<Exchange, Result, void>;

/** What is exchanged at once, at most: MPI counts bytes in 32 bits, and what is underway takes memory. */
const MOST_BYTES = 2 ** 26;

/** The collective operations of a communicator. */
export class Collectives {
  readonly #mpi: MpiCommunicator;

  constructor(mpi: MpiCommunicator) {
    this.#mpi = mpi;
  }

  /** See `ProcessGroup.allReduce`. */
  *allReduce<N extends Numbers>(values: N, reduction: Reduction): Steps<N> {
    const result = likeOf(values, values.length);
    const piece = Math.max(1, Math.floor(MOST_BYTES / values.BYTES_PER_ELEMENT));
    for (let at = 0; at < values.length; at += piece) {
      const part = values.subarray(at, at + piece) as N;
      const { size } = this.#mpi;
      const share = yield* this.reduceScatter(part, reduction);
      const places = placesOf(size, (rank) => lengthOf(shareOf(part.length, rank, size)), values.BYTES_PER_ELEMENT);
      yield this.#mpi.allGather(bytesOf(share), bytesOf(result.subarray(at, at + piece)), places);
    }
    return result;
  }

  /** See `ProcessGroup.reduceScatter`. */
  *reduceScatter<N extends Numbers>(values: N, reduction: Reduction): Steps<N> {
    const { rank, size } = this.#mpi;
    const width = values.BYTES_PER_ELEMENT;
    const own = lengthOf(shareOf(values.length, rank, size));
    const result = likeOf(values, own);
    // Large arrays pass by in slices of each rank's share.
    const rounds = Math.max(1, Math.ceil(values.byteLength / MOST_BYTES));
    for (let round = 0; round < rounds; round++) {
      const slice = (of: number): readonly [number, number] => {
        const [from, to] = shareOf(values.length, of, size);
        const [begin, end] = shareOf(to - from, round, rounds);
        return [from + begin, from + end];
      };
      const [begin, end] = shareOf(own, round, rounds);
      const count = end - begin;
      const received = likeOf(values, count * size);
      const sent = {
        counts: Int32Array.from({ length: size }, (_, of) => lengthOf(slice(of)) * width),
        offsets: Int32Array.from({ length: size }, (_, of) => slice(of)[0] * width),
      };
      const places = placesOf(size, () => count, width);
      yield this.#mpi.allToAll(bytesOf(values), sent, bytesOf(received), places);
      reduce(received, size, reduction, result.subarray(begin, end) as N);
    }
    return result;
  }

  /** See `ProcessGroup.allGather`. */
  *allGather<N extends Numbers>(values: N): Steps<N[]> {
    const { size } = this.#mpi;
    const lengths = new Float64Array(size);
    const each = placesOf(size, () => 1, 8);
    yield this.#mpi.allGather(bytesOf(Float64Array.of(values.length)), bytesOf(lengths), each);
    const results = Array.from(lengths, (length) => likeOf(values, length));
    const longest = Math.max(...lengths);
    const piece = Math.max(1, Math.floor(MOST_BYTES / (values.BYTES_PER_ELEMENT * size)));
    for (let at = 0; at < longest; at += piece) {
      const counts = results.map(({ length }) => Math.max(0, Math.min(piece, length - at)));
      const places = placesOf(size, (rank) => counts[rank]!, values.BYTES_PER_ELEMENT);
      const received = likeOf(
        values,
        counts.reduce((sum, count) => sum + count, 0),
      );
      yield this.#mpi.allGather(bytesOf(values.subarray(at, at + piece)), bytesOf(received), places);
      for (const [rank, result] of results.entries()) {
        const from = places.offsets[rank]! / values.BYTES_PER_ELEMENT;
        result.set(received.subarray(from, from + counts[rank]!), Math.min(at, result.length));
      }
    }
    return results;
  }

  /** See `ProcessGroup.broadcast`. */
  *broadcast<N extends Numbers>(values: N, root: number): Steps<N> {
    checkRoot(root, this.#mpi.size);
    const result = likeOf(values, values.length);
    result.set(values);
    const bytes = bytesOf(result);
    for (let at = 0; at < bytes.length; at += MOST_BYTES)
      yield this.#mpi.broadcast(bytes.subarray(at, at + MOST_BYTES), root);
    return result;
  }

  /** Waits for all. */
  *barrier(): Steps<void> {
    yield this.#mpi.barrier();
  }
}

/** Bytes of consecutive parts. */
function placesOf(size: number, elements: (rank: number) => number, width: number): Places {
  const counts = Int32Array.from({ length: size }, (_, rank) => elements(rank) * width);
  const offsets = new Int32Array(size);
  for (let rank = 1; rank < size; rank++) offsets[rank] = offsets[rank - 1]! + counts[rank - 1]!;
  return { counts, offsets };
}

function lengthOf([from, to]: readonly [number, number]): number {
  return to - from;
}

/** Room for numbers of the same type, in memory that stays where it is: V8 moves small arrays that it made itself. */
function likeOf<N extends Numbers>(values: N, length: number): N {
  const make = values.constructor as new (buffer: ArrayBuffer) => N;
  return new make(new ArrayBuffer(length * values.BYTES_PER_ELEMENT));
}

function bytesOf({ buffer, byteOffset, byteLength }: Numbers): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
