/** The thread that talks to MPI: calls of each lane one after the other, without blocking the thread that calls. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Numbers } from "../process-group.ts";
import { Collectives, type Steps } from "./collectives.ts";
import { Lane } from "./lane.ts";
import { joinJob, type Mpi, type MpiCommunicator } from "./library.ts";
import { ABORT, ABORTED, ANSWERS, type Answer, CALLS, type Call, type ThreadData } from "./protocol.ts";

/** Looks at exchanges before the thread sleeps between two of them. */
const EAGER = 200;
/** Milliseconds of sleep between two looks, at first and at most: what waits for a step must not take a core from those that compute. */
const SHORTEST = 0.05;
const LONGEST = 1;

const port = parentPort as MessagePort;
const { libraries, size, signal, answers } = workerData as ThreadData;
const words = new Int32Array(signal);

function answer(message: Answer, sync = false): void {
  const arrays = "result" in message && message.result !== null ? [message.result].flat() : [];
  (sync ? answers : port).postMessage(message, [...new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer))]);
  if (!sync) return;
  Atomics.add(words, ANSWERS, 1);
  Atomics.notify(words, ANSWERS);
}

function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The lanes of a job, and what their calls do. */
class Lanes {
  /** True once the job is to be left. */
  left = false;
  readonly #lanes = new Map<number, Lane>();

  constructor(mpi: MpiCommunicator) {
    this.#open(0, mpi);
  }

  #open(number: number, mpi: MpiCommunicator): void {
    const collectives = new Collectives(mpi);
    const lane = new Lane(
      (call) => this.#perform(call, mpi, collectives),
      ({ id, sync }, ended) => {
        // The cast: what the operations give.
        if ("result" in ended) answer({ id, result: ended.result as Numbers | readonly Numbers[] | null }, sync);
        else answer({ id, error: explain(ended.error) }, sync);
      },
    );
    this.#lanes.set(number, lane);
  }

  *#perform({ operation }: Call, mpi: MpiCommunicator, collectives: Collectives): Steps<unknown> {
    switch (operation.kind) {
      case "allReduce":
      case "reduceScatter":
        return yield* collectives[operation.kind](operation.values, operation.reduction);
      case "allGather":
        return yield* collectives.allGather(operation.values);
      case "broadcast":
        return yield* collectives.broadcast(operation.values, operation.root);
      case "duplicate": {
        const { exchange, made } = mpi.duplicate();
        yield exchange;
        this.#open(operation.lane, made());
        return null;
      }
      case "barrier":
        yield* collectives.barrier();
        return null;
      case "close":
        yield { isDone: () => [...this.#lanes].every(([number, lane]) => number === 0 || lane.idle) };
        yield* collectives.barrier();
        this.left = true;
        return null;
    }
  }

  push(call: Call): void {
    this.#lanes.get(call.lane)!.push(call);
  }

  get idle(): boolean {
    for (const lane of this.#lanes.values()) if (!lane.idle) return false;
    return true;
  }

  /** Goes on wherever that is possible without waiting. False where it is nowhere. */
  advance(): boolean {
    let moved = false;
    for (const lane of this.#lanes.values()) moved = lane.advance() || moved;
    return moved;
  }
}

function serve(mpi: Mpi): void {
  const lanes = new Lanes(mpi);
  let [looks, pause] = [0, SHORTEST];
  while (!lanes.left) {
    const calls = Atomics.load(words, CALLS);
    const code = Atomics.load(words, ABORT);
    if (code !== 0) mpi.abort(code - ABORTED);
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port))
      lanes.push(next.message as Call);
    if (lanes.advance()) [looks, pause] = [0, SHORTEST];
    else if (lanes.idle) Atomics.wait(words, CALLS, calls);
    else if (++looks >= EAGER) {
      Atomics.wait(words, CALLS, calls, pause);
      pause = Math.min(LONGEST, pause * 1.2);
    }
  }
  mpi.finalize();
}

try {
  const mpi = joinJob(libraries, size);
  answer({ joined: { rank: mpi.rank, size: mpi.size, host: mpi.host, library: mpi.version } });
  serve(mpi);
} catch (error) {
  answer({ id: null, error: explain(error) });
  answer({ id: null, error: explain(error) }, true);
}
