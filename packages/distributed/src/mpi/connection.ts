/** The calling thread's end of what it and the thread of MPI tell each other. */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { Launcher } from "../launcher.ts";
import { DistributedError, type Numbers } from "../process-group.ts";
import {
  ABORT,
  ABORTED,
  ANSWERS,
  type Answer,
  CALLS,
  type Call,
  type Joined,
  type Operation,
  type ThreadData,
  WORDS,
} from "./protocol.ts";
import { watchStart } from "./start-watch.ts";

interface Waiting {
  readonly resolve: (result: Numbers | readonly Numbers[] | null) => void;
  readonly reject: (error: Error) => void;
}

/** A job that this process has joined. */
export class Connection {
  readonly joined: Joined;
  readonly #thread: Worker;
  readonly #words: Int32Array;
  readonly #answers: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #lanes = 1;
  #ended: DistributedError | null = null;

  private constructor(thread: Worker, words: Int32Array, answers: MessagePort, joined: Joined) {
    this.joined = joined;
    this.#thread = thread;
    this.#words = words;
    this.#answers = answers;
    thread.on("message", (answer: Answer) => this.#take(answer));
    thread.on("exit", () => this.#end("the thread of MPI has ended"));
    thread.unref();
  }

  /** Starts the thread, which joins the job, and ends the process where that takes longer. @throws DistributedError */
  static open(launcher: Launcher, seconds: number): Promise<Connection> {
    const signal = new SharedArrayBuffer(4 * WORDS);
    const { port1: answers, port2: far } = new MessageChannel();
    const thread = startThread({ ...launcher, signal, answers: far });
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
        if ("joined" in answer) resolve(new Connection(thread, new Int32Array(signal), answers, answer.joined));
        else fail("error" in answer ? answer.error : "internal: no answer");
      });
    });
  }

  /** What an operation comes to, once all processes have called it. */
  call<Result>(lane: number, operation: Operation): Promise<Result> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#calls++;
    const result = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    // Somebody waits now: the process must not end.
    this.#thread.ref();
    this.#post({ id, lane, sync: false, operation });
    return result as Promise<Result>;
  }

  /** The same, for which this thread stands still. */
  callSync<Result>(lane: number, operation: Operation): Result {
    if (this.#ended) throw this.#ended;
    this.#post({ id: this.#calls++, lane, sync: true, operation });
    for (;;) {
      const seen = Atomics.load(this.#words, ANSWERS);
      const received = receiveMessageOnPort(this.#answers);
      if (received === undefined) {
        Atomics.wait(this.#words, ANSWERS, seen);
        continue;
      }
      const answer = received.message as Answer;
      if ("result" in answer) return answer.result as Result;
      if ("error" in answer) throw new DistributedError(answer.error);
    }
  }

  /** Opens a lane, once all processes do. Gives its number. */
  async openLane(): Promise<number> {
    const lane = this.#lanes++;
    await this.call(0, { kind: "duplicate", lane });
    return lane;
  }

  /** Leaves the job. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const exited = new Promise<void>((resolve) => this.#thread.once("exit", () => resolve()));
    const left = this.call(0, { kind: "close" });
    this.#ended = new DistributedError(this.#about("this process has left the job"));
    await left;
    await exited;
    this.#answers.close();
  }

  /** Ends the job. */
  abort(code: number): Promise<never> {
    this.#ended ??= new DistributedError(this.#about("this process has ended the job"));
    this.#thread.ref();
    Atomics.store(this.#words, ABORT, ABORTED + code);
    this.#wake();
    return new Promise(() => {});
  }

  #post(call: Call): void {
    const { operation } = call;
    this.#thread.postMessage(call, "values" in operation ? [operation.values.buffer as ArrayBuffer] : []);
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.#words, CALLS, 1);
    Atomics.notify(this.#words, CALLS);
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
    const { rank, size, host } = this.joined;
    return `${reason} (rank ${rank} of ${size} on ${host})`;
  }
}

/** Starts the thread's file; where this is a source, there is no JavaScript of it yet, and a loader comes first. */
function startThread(workerData: ThreadData): Worker {
  const options = { workerData, transferList: [workerData.answers] };
  if (!import.meta.url.endsWith(".ts")) return new Worker(new URL("./thread.js", import.meta.url), options);
  const file = JSON.stringify(new URL("./thread.ts", import.meta.url).href);
  // A program that is no file would look for it from the working directory on.
  const loader = JSON.stringify(import.meta.resolve("tsx/esm/api"));
  const program = `import(${loader}).then(({ register }) => { register(); return import(${file}); });`;
  return new Worker(program, { eval: true, ...options });
}
