/** The thread that talks to MPI: one call after the other, without blocking the one that calls. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Numbers } from "../process-group.ts";
import { Collectives } from "./collectives.ts";
import { type Exchange, joinJob, type Mpi } from "./library.ts";
import { ABORT, ABORTED, type Answer, CALLS, type Call, type Operation, type ThreadData } from "./protocol.ts";

/** Looks at an exchange before the thread sleeps between two of them. */
const EAGER = 200;
/** Milliseconds of sleep between two looks, at first and at most: what waits for a step must not take a core from those that compute. */
const SHORTEST = 0.05;
const LONGEST = 1;

const port = parentPort as MessagePort;
const { libraries, size, signal } = workerData as ThreadData;
const words = new Int32Array(signal);

function answer(message: Answer, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Ends the whole job where that was asked for. */
function lookForAbort(mpi: Mpi): void {
  const code = Atomics.load(words, ABORT);
  if (code !== 0) mpi.abort(code - ABORTED);
}

function waiter(mpi: Mpi): (exchange: Exchange) => void {
  return (exchange) => {
    for (let looks = 0, pause = SHORTEST; !exchange.isDone(); looks++) {
      if (looks < EAGER) continue;
      lookForAbort(mpi);
      Atomics.wait(words, ABORT, 0, pause);
      pause = Math.min(LONGEST, pause * 1.2);
    }
  };
}

function perform(collectives: Collectives, operation: Operation): Numbers | readonly Numbers[] | null {
  switch (operation.kind) {
    case "allReduce":
    case "reduceScatter":
      return collectives[operation.kind](operation.values, operation.reduction);
    case "allGather":
      return collectives.allGather(operation.values);
    case "broadcast":
      return collectives.broadcast(operation.values, operation.root);
    case "barrier":
    case "close":
      collectives.barrier();
      return null;
  }
}

function serve(mpi: Mpi): void {
  const collectives = new Collectives(mpi, waiter(mpi));
  for (;;) {
    const calls = Atomics.load(words, CALLS);
    lookForAbort(mpi);
    const received = receiveMessageOnPort(port);
    if (received === undefined) {
      Atomics.wait(words, CALLS, calls);
      continue;
    }
    const { id, operation } = received.message as Call;
    try {
      const result = perform(collectives, operation);
      const arrays = result === null ? [] : [result].flat();
      answer({ id, result }, [...new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer))]);
    } catch (error) {
      answer({ id, error: explain(error) });
    }
    if (operation.kind === "close") {
      mpi.finalize();
      return;
    }
  }
}

try {
  const mpi = joinJob(libraries, size);
  answer({ joined: { rank: mpi.rank, size: mpi.size, host: mpi.host, library: mpi.version } });
  serve(mpi);
} catch (error) {
  answer({ id: null, error: explain(error) });
}
