/** Process groups over MPI. */
import { hostname } from "node:os";
import { Worker } from "node:worker_threads";
import { type Environment, type Launcher, launcherOf } from "../launcher.ts";
import {
  checkRoot,
  DistributedError,
  type Numbers,
  type ProcessGroup,
  type Reduction,
  SingleProcess,
} from "../process-group.ts";
import {
  ABORT,
  ABORTED,
  type Answer,
  CALLS,
  type Call,
  type Joined,
  type Operation,
  type ThreadData,
} from "./protocol.ts";
import { startTimeout, watchStart } from "./start-watch.ts";

/**
 * Joins the job that `mpirun`, `mpiexec` or `srun` started this process in; a process that was started alone is a group of its own, without MPI. To be
 * called once in a process.
 *
 * MPI waits for processes that died while they joined, and its thread cannot be called off: after `DEPLSR_MPI_START_TIMEOUT` seconds (120; 0 for never) this
 * process says so on stderr and ends with code 1.
 *
 * @throws DistributedError where MPI cannot be loaded, does not start, or is another one than the launcher's
 */
export async function openProcessGroup(environment: Environment = process.env): Promise<ProcessGroup> {
  const launcher = launcherOf(environment);
  return launcher === null ? new SingleProcess(hostname()) : MpiGroup.join(launcher, startTimeout(environment));
}

interface Waiting {
  readonly resolve: (result: Numbers | readonly Numbers[] | null) => void;
  readonly reject: (error: Error) => void;
}

class MpiGroup implements ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly host: string;
  readonly library: string;
  readonly #thread: Worker;
  readonly #words: Int32Array;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #ended: DistributedError | null = null;

  private constructor(thread: Worker, words: Int32Array, { rank, size, host, library }: Joined) {
    this.rank = rank;
    this.size = size;
    this.host = host;
    this.library = library;
    this.#thread = thread;
    this.#words = words;
    thread.on("message", (answer: Answer) => this.#take(answer));
    thread.on("exit", () => this.#end("the thread of MPI has ended"));
    thread.unref();
  }

  static join(launcher: Launcher, seconds: number): Promise<MpiGroup> {
    const signal = new SharedArrayBuffer(8);
    const workerData: ThreadData = { ...launcher, signal };
    const thread = startThread(workerData);
    const started = watchStart(launcher, seconds);
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => {
        started();
        reject(new DistributedError(`MPI: ${reason}`));
      };
      thread.once("error", (error) => fail(error.message));
      thread.once("exit", () => fail("the thread of MPI ended before it had joined the job"));
      thread.once("message", (answer: Answer) => {
        started();
        thread.removeAllListeners("exit");
        if ("joined" in answer) resolve(new MpiGroup(thread, new Int32Array(signal), answer.joined));
        else fail("error" in answer ? answer.error : "internal: no answer");
      });
    });
  }

  allReduce<N extends Numbers>(values: N, reduction: Reduction = "sum"): Promise<N> {
    return this.#call({ kind: "allReduce", values: copyOf(values), reduction });
  }

  reduceScatter<N extends Numbers>(values: N, reduction: Reduction = "sum"): Promise<N> {
    return this.#call({ kind: "reduceScatter", values: copyOf(values), reduction });
  }

  allGather<N extends Numbers>(values: N): Promise<N[]> {
    return this.#call({ kind: "allGather", values: copyOf(values) });
  }

  async broadcast<N extends Numbers>(values: N, root = 0): Promise<N> {
    checkRoot(root, this.size);
    return this.#call({ kind: "broadcast", values: copyOf(values), root });
  }

  async barrier(): Promise<void> {
    await this.#call({ kind: "barrier" });
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exited = new Promise<void>((resolve) => this.#thread.once("exit", () => resolve()));
    const left = this.#call({ kind: "close" });
    this.#ended = new DistributedError(this.#about("this process has left the job"));
    await left;
    await exited;
  }

  abort(code: number): Promise<never> {
    this.#ended ??= new DistributedError(this.#about("this process has ended the job"));
    this.#thread.ref();
    Atomics.store(this.#words, ABORT, ABORTED + code);
    this.#wake();
    return new Promise(() => {});
  }

  #call<Result>(operation: Operation): Promise<Result> {
    if (this.#ended) return Promise.reject(this.#ended);
    const call: Call = { id: this.#calls++, operation };
    const result = new Promise((resolve, reject) => {
      this.#waiting.set(call.id, { resolve, reject });
    });
    // Somebody waits now: the process must not end.
    this.#thread.ref();
    this.#thread.postMessage(call, "values" in operation ? [operation.values.buffer as ArrayBuffer] : []);
    this.#wake();
    return result as Promise<Result>;
  }

  #wake(): void {
    Atomics.add(this.#words, CALLS, 1);
    Atomics.notify(this.#words, CALLS);
    Atomics.notify(this.#words, ABORT);
  }

  #take(answer: Answer): void {
    if ("joined" in answer) return;
    if (answer.id === null) {
      this.#end(answer.error);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    // A process that leaves the job waits until the thread has ended.
    if (this.#waiting.size === 0 && !this.#ended) this.#thread.unref();
    if ("error" in answer) waiting?.reject(new DistributedError(answer.error));
    else waiting?.resolve(answer.result);
  }

  #end(reason: string): void {
    this.#ended ??= new DistributedError(this.#about(reason));
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  #about(reason: string): string {
    return `${reason} (rank ${this.rank} of ${this.size} on ${this.host})`;
  }
}

/** Starts the thread's file; where this is a source, there is no JavaScript of it yet, and a loader comes first. */
function startThread(workerData: ThreadData): Worker {
  if (!import.meta.url.endsWith(".ts")) return new Worker(new URL("./thread.js", import.meta.url), { workerData });
  const file = JSON.stringify(new URL("./thread.ts", import.meta.url).href);
  // A program that is no file would look for it from the working directory on.
  const loader = JSON.stringify(import.meta.resolve("tsx/esm/api"));
  const program = `import(${loader}).then(({ register }) => { register(); return import(${file}); });`;
  return new Worker(program, { eval: true, workerData });
}

/** Values in memory of their own, which goes to the other thread. */
function copyOf<N extends Numbers>(values: N): N {
  const make = values.constructor as new (buffer: ArrayBuffer) => N;
  const copy = new make(new ArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
