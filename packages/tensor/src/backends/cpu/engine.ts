import { spawnThread } from "#platform";
import type { View } from "../../backend.ts";
import { bytesPerElement } from "../../dtype.ts";
import { env } from "../../env.ts";
import { DeviceError, DeviceLostError } from "../../errors.ts";
import type { Thread } from "../../platform/thread.ts";
import type { Kernel, Numbers, Spec } from "./kernel.ts";
import { ARGUMENT_BYTES, ARGUMENTS, BATCH, CODE, CODE_END, MAP, MAX_KERNELS } from "./memory.ts";
import { createRunner, type Group, type Runner } from "./runner.ts";
import { type Block, BlockPool, MOST_BYTES } from "./storage.ts";
import type { Target } from "./wasm/builder.ts";
import { MAX_PAGES } from "./wasm/module.ts";

/** Estimated nanoseconds after which recorded launches run without being asked. */
const BATCH_COST = 300_000;
/** A chunk of work that is worth handing to another thread, in nanoseconds. */
const CHUNK_COST = 20_000;
/** Batches cheaper than this are not worth waking anybody for. */
const WAKE_COST = 60_000;
/** What one thread runs in one call. */
const PIECE_COST = 500_000;
const MAX_CHUNKS = 4000;
/**
 * A worker can end without a word, killed or out of memory, and the chunk that it had claimed is never done. Nothing else takes this long,
 * in milliseconds, or so many times what a chunk is estimated to take.
 */
const PATIENCE = 60_000;
const PATIENCE_FACTOR = 1000;

interface Launch {
  readonly name: string;
  readonly kernel: number;
  /** Address of the arguments. */
  readonly args: number;
  readonly units: number;
  readonly cost: number;
  /** Whether `onLaunch` is told of it. */
  readonly told: boolean;
}

/** When a launch ran, in microseconds. */
export interface LaunchTime {
  readonly kernel: string;
  readonly units: number;
  /** Its work as it was estimated, in nanoseconds on one thread. */
  readonly cost: number;
  readonly start: number;
  readonly duration: number;
}

/** Takes memory for the launches of one call. @throws DeviceError where there is no room */
export type Take = (bytes: number, label: string) => Block;

/** How an engine is made. */
export interface EngineOptions {
  readonly threads: number;
  readonly shared: boolean;
  readonly target: Target;
  /** False on a browser's main thread, which must not block. */
  readonly mayWait: boolean;
  /** Bytes of memory for tensors; what is left of 4 GiB unless somebody wants less. */
  readonly memoryLimit?: number;
  /** Milliseconds without any progress after which workers are given up; 60,000 unless a test wants less. */
  readonly patience?: number;
  /** Starts a worker; the platform's way unless a test wants another. */
  readonly spawn?: typeof spawnThread;
}

/** The WebAssembly memory, the kernels compiled for it, the launch list and the threads that run it. */
export class CpuEngine {
  readonly pool: BlockPool;
  readonly options: EngineOptions;
  /** Told of each launch; launches run one by one then. */
  onLaunch: ((time: LaunchTime) => void) | undefined;
  readonly #memory: WebAssembly.Memory;
  readonly #runner: Runner;
  readonly #ids = new Map<Kernel, number>();
  readonly #threads: Thread[] = [];
  #words: Int32Array;
  #floats: Float32Array;
  #launches: Launch[] = [];
  #cost = 0;
  #codeEnd = CODE;
  #serial = 0;
  #launched = 0;
  #destroyed = false;
  #failure: DeviceError | undefined;

  constructor(options: EngineOptions) {
    this.options = options;
    this.#memory = new WebAssembly.Memory({ initial: 256, maximum: MAX_PAGES, shared: options.shared });
    this.#words = new Int32Array(this.#memory.buffer);
    this.#floats = new Float32Array(this.#memory.buffer);
    const end = options.memoryLimit === undefined ? MOST_BYTES : Math.min(MOST_BYTES, CODE_END + options.memoryLimit);
    this.pool = new BlockPool(this.#memory, CODE_END, end);
    this.#runner = createRunner(this.#memory, MAP, 0, options.mayWait);
  }

  /** Launches recorded since the engine was made. */
  get launched(): number {
    return this.#launched;
  }

  /** Kernels compiled since then. */
  get kernels(): number {
    return this.#serial;
  }

  /** The address of a view's first element. */
  address({ storage, layout, dtype }: View): number {
    return (storage as Block).place + layout.offset * bytesPerElement(dtype);
  }

  /**
   * Runs `work`, which may take memory for the launches that it records. All of it is given back when `work` ends, or throws because
   * there was no room for the next piece.
   */
  withTemporaries(work: (take: Take) => void): void {
    const taken: Block[] = [];
    try {
      work((bytes, label) => {
        const block = this.pool.take(bytes, label);
        taken.push(block);
        return block;
      });
    } finally {
      for (const block of taken) block.release();
    }
  }

  /**
   * Records a launch over `units`.
   * @param cost estimated nanoseconds for one unit on one thread; it decides how the work is cut, not what it computes.
   */
  launch<S extends Spec>(kernel: Kernel<S>, args: Numbers<S>, units: number, cost: number): void {
    if (units <= 0) return;
    this.#launched++;
    this.throwIfEnded();
    this.#record(kernel, args, units, cost, true);
  }

  /** A launch that is neither counted nor told of. */
  launchUnseen<S extends Spec>(kernel: Kernel<S>, args: Numbers<S>, units: number, cost: number): void {
    this.#record(kernel, args, units, cost, false);
  }

  #record<S extends Spec>(kernel: Kernel<S>, args: Numbers<S>, units: number, cost: number, told: boolean): void {
    if (this.#launches.length === BATCH) this.run();
    const { fields } = kernel;
    if (4 * fields.length > ARGUMENT_BYTES) throw new Error(`internal: ${kernel.name} has too many arguments`);
    if (this.#words.byteLength === 0) this.#refresh();
    const id = this.#ids.get(kernel) ?? this.#compile(kernel);
    const start = ARGUMENTS + this.#launches.length * ARGUMENT_BYTES;
    const inOrder = Array.isArray(args);
    for (let i = 0, at = start / 4; i < fields.length; i++, at++) {
      const { name, float } = fields[i]!;
      const value = inOrder ? args[i]! : (args as Readonly<Record<string, number>>)[name]!;
      if (float) this.#floats[at] = value;
      else this.#words[at] = value;
    }
    this.#launches.push({ name: kernel.name, kernel: id, args: start, units, cost: units * cost, told });
    this.#cost += units * cost;
    if (this.#cost >= BATCH_COST) this.run();
  }

  /** Nothing runs any more. */
  get ended(): boolean {
    return this.#destroyed || this.#failure !== undefined;
  }

  /** @throws DeviceError when the device was destroyed, and after a failure the error of that */
  throwIfEnded(): void {
    if (this.#destroyed) throw new DeviceError("the CPU device was destroyed");
    if (this.#failure) throw this.#failure;
  }

  /** A view goes dead when a memory that is not shared grows. */
  #refresh(): void {
    this.#words = new Int32Array(this.#memory.buffer);
    this.#floats = new Float32Array(this.#memory.buffer);
  }

  /** @throws DeviceError for a kernel that is not valid: nothing of it ran, and the device is as it was */
  #compile(kernel: Kernel): number {
    const code = attempt(kernel, () => kernel.encode(this.options.target, this.options.shared));
    if (this.#ids.size === MAX_KERNELS || this.#codeEnd + code.length > CODE_END) {
      // Full: everything starts over. Each kernel that is needed again is compiled again.
      this.run();
      this.#ids.clear();
      this.#codeEnd = CODE;
    }
    const id = this.#ids.size;
    if (env().debug >= 4) console.error(`deplsr: kernel ${kernel.name} ${code.length} bytes`);
    new Uint8Array(this.#memory.buffer).set(code, this.#codeEnd);
    this.#words.set([this.#codeEnd, code.length, ++this.#serial], MAP.kernels / 4 + 4 * id);
    // Now, not when it runs: then others run beside it, and what they were to compute would not be whole.
    attempt(kernel, () => this.#runner.compile(id));
    this.#codeEnd += Math.ceil(code.length / 8) * 8;
    this.#ids.set(kernel, id);
    return id;
  }

  /** Runs everything recorded, and returns when it is done. */
  run(): void {
    if (this.#failure) this.throwIfEnded();
    const launches = this.#launches;
    if (launches.length === 0) return;
    const cost = this.#cost;
    this.#launches = [];
    this.#cost = 0;
    if (this.#words.byteLength === 0) this.#refresh();
    if (!this.onLaunch) {
      this.#runAll(launches, cost);
      return;
    }
    for (const launch of launches) {
      const start = performance.now();
      this.#runAll([launch], launch.cost);
      const duration = 1000 * (performance.now() - start);
      const { name, units, cost, told } = launch;
      if (told) this.onLaunch({ kernel: name, units, cost, start: 1000 * start, duration });
    }
  }

  #runAll(launches: readonly Launch[], cost: number): void {
    if (this.options.threads > 1 && cost >= WAKE_COST && launches.some(isParallel)) this.#runTogether(launches);
    else for (const launch of launches) this.#runAlone(launch);
  }

  #runAlone({ name, kernel, args, units, cost }: Launch): void {
    // In pieces, since optimised code takes over between calls only.
    const grain = Math.max(1, Math.ceil((units * PIECE_COST) / (cost + 1)));
    for (let begin = 0; begin < units; begin += grain) {
      try {
        this.#runner.call(kernel, args, begin, Math.min(units, begin + grain));
      } catch (cause) {
        this.#fail(`${name} failed on the CPU over ${units} units: ${String(cause)}`, cause);
      }
    }
  }

  #runTogether(launches: readonly Launch[]): void {
    this.#wake();
    const groups: Group[] = [];
    let longest = 0;
    for (let i = 0; i < launches.length; ) {
      const first = i;
      const { units, cost } = launches[i]!;
      const parallel = isParallel(launches[i]!);
      i++;
      // Small launches that follow each other are one piece of work for one thread.
      while (!parallel && i < launches.length && !isParallel(launches[i]!)) i++;
      const wanted = parallel ? Math.min(units, MAX_CHUNKS, Math.ceil(cost / CHUNK_COST)) : 1;
      const grain = Math.ceil(units / wanted);
      const chunks = parallel ? Math.ceil(units / grain) : 1;
      groups.push({ first, entries: i - first, units, grain, chunks });
      longest = Math.max(longest, cost / chunks);
    }
    const patience = Math.max(this.options.patience ?? PATIENCE, (PATIENCE_FACTOR * longest) / 1e6);
    const done = this.#runner.run(groups, launches, patience);
    const failed = Atomics.load(this.#words, MAP.failed / 4);
    if (done && failed === 0) return;
    const names = `one of: ${[...new Set(launches.map((launch) => launch.name))].join(", ")}`;
    if (done) this.#fail(`a kernel failed on the CPU, ${names}: ${this.#reason()}`);
    if (failed & 2) this.#fail(`a worker thread of the CPU backend ended while it ran ${names}`);
    this.#fail(
      `the CPU backend's worker threads did nothing for ${Number((patience / 1000).toPrecision(2))} s while they ran ${names}`,
    );
  }

  /** What the first kernel that failed in a batch threw. */
  #reason(): string {
    const start = MAP.reason / 4;
    return String.fromCharCode(...this.#words.subarray(start + 1, start + 1 + this.#words[start]!));
  }

  /** Ends the engine: what it was to compute is not whole. */
  #fail(message: string, cause?: unknown): never {
    const advice = "ask for a new one with Device.request, and load into it what was saved";
    this.#failure = new DeviceLostError(`${message}; this device cannot be used any more: ${advice}`, { cause });
    this.#stop();
    throw this.#failure;
  }

  /**
   * Starts the threads and waits until they run. Work starts them too, but a browser starts none while the thread that asks is busy.
   * Rejects where they cannot be started.
   */
  async start(): Promise<void> {
    this.#wake();
    await Promise.all(this.#threads.map((thread) => thread.ready));
  }

  /** Starts the threads, once; each takes part as soon as it is there. One that ends without work in its hands is not missed. */
  #wake(): void {
    const { spawn = spawnThread, threads } = this.options;
    while (this.#threads.length < threads - 1) {
      const thread = this.#threads.length + 1;
      this.#threads.push(spawn(workerText(), { memory: this.#memory, map: MAP, thread }));
    }
  }

  write(block: Block, bytes: Uint8Array): void {
    this.throwIfEnded();
    this.run();
    new Uint8Array(this.#memory.buffer, block.place, bytes.byteLength).set(bytes);
  }

  read(block: Block, offset: number, bytes: number): ArrayBuffer {
    this.throwIfEnded();
    this.run();
    const copy = new Uint8Array(bytes);
    copy.set(new Uint8Array(this.#memory.buffer, block.place + offset, bytes));
    return copy.buffer;
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#stop();
  }

  #stop(): void {
    this.#launches = [];
    this.#cost = 0;
    if (this.#words.byteLength === 0) this.#refresh();
    Atomics.store(this.#words, MAP.stop / 4, 1);
    Atomics.add(this.#words, MAP.epoch / 4, 1);
    Atomics.notify(this.#words, MAP.epoch / 4);
    for (const thread of this.#threads.splice(0)) thread.stop();
  }
}

/** Does a part of making a kernel. @throws DeviceError where that throws, naming the kernel */
function attempt<T>({ name }: Kernel, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new DeviceError(`kernel ${name} does not compile on the CPU: ${String(cause)}`, { cause });
  }
}

function isParallel({ units, cost }: Launch): boolean {
  return units > 1 && cost >= 2 * CHUNK_COST;
}

/** The program of a worker where it cannot be a file of this package, as in Node, which would need that to be built: the scheduler's own text. */
function workerText(): string {
  // Compilers that keep function names wrap functions in a helper of this name.
  return `const __name = (f) => f; const create = ${createRunner.toString()};
start(({ memory, map, thread }, atEnd) => {
  const runner = create(memory, map, thread, true);
  atEnd(runner.abandon);
  runner.serve();
});`;
}
