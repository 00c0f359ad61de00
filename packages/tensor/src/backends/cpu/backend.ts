import { enableRelaxedSimd, enableWideVectors, logicalCores, mayBlock, onExit, platform } from "#platform";
import type * as Calls from "../../backend.ts";
import { env } from "../../env.ts";
import { DeviceError } from "../../errors.ts";
import { printMemory } from "../timeline.ts";
import { CpuEngine, type EngineOptions } from "./engine.ts";
import { attention } from "./kernels/attention.ts";
import { attentionGrad } from "./kernels/attention-grad.ts";
import * as conv from "./kernels/conv.ts";
import { copy } from "./kernels/copy.ts";
import * as indexing from "./kernels/indexing.ts";
import { matmul } from "./kernels/matmul.ts";
import { adam } from "./kernels/optim.ts";
import { pointwise } from "./kernels/pointwise.ts";
import { poison } from "./kernels/poison.ts";
import { random } from "./kernels/random.ts";
import { reduce } from "./kernels/reduce.ts";
import * as rows from "./kernels/rows.ts";
import { MAX_THREADS } from "./memory.ts";
import type { Block } from "./storage.ts";
import { fuses, hasRelaxedSimd, hasSimd } from "./wasm/module.ts";
import { watch } from "./watch.ts";

const ASKED_FOR = "the CPU was asked for";
const NOT_ISOLATED =
  "the page is not cross-origin isolated (serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)";

const told = new Set<string>();

/** Says once on the console why there is one thread only. */
function oneThread(because: string): string {
  const text = `one thread, since ${because}`;
  if (!told.has(text)) console.warn(`deplsr: the CPU backend runs on ${text}`);
  told.add(text);
  return text;
}

const SIMD: readonly string[] = ["auto", "128", "256"];

/**
 * Whether kernels are written for 256 bits, and whether the engine makes instructions of 256 bits out of them. JavaScript cannot ask a
 * processor for AVX2; but one that fuses multiplications with additions has it, but for a few of AMD's of 2012 to 2014.
 * @throws DeviceError for an unknown width
 */
function widthOf(asked: string, relaxed: boolean): { wide: boolean; paired: boolean } {
  if (!SIMD.includes(asked)) throw new DeviceError(`simd "${asked}" is none of ${SIMD.join(", ")}`);
  if (asked === "128") return { wide: false, paired: false };
  const pairs = enableWideVectors();
  const paired = pairs && relaxed && fuses();
  return { wide: asked === "256" || paired, paired };
}

/** How a CPU backend is made; the defaults take what the machine has. */
export interface CpuOptions {
  /** Threads that compute, the caller's included, at most 256; default `DEPLSR_THREADS`, else one for each core. */
  readonly threads?: number;
  /** False keeps to plain SIMD, whose results do not depend on the processor. Default: relaxed where there is such. */
  readonly relaxed?: boolean;
  /** Bits of the vectors that kernels are written for; default `DEPLSR_SIMD`, else 256 where that is faster. */
  readonly simd?: 128 | 256;
  /** Bytes that its tensors may take together; 4 GiB is what there is for them and for kernels. */
  readonly memoryLimit?: number;
  /** What a test wants otherwise inside of it. */
  readonly engine?: Partial<EngineOptions>;
  /** Why the CPU was chosen; default that it was asked for. */
  readonly reason?: string;
}

/**
 * The engine on the CPU: WebAssembly with SIMD, on every core. Kernels are emitted at run time by a small typed assembler
 * (`wasm/`): the pointwise printer has to do so in any case, variants come as they are needed, and sources run without a build step;
 * a compiler of another language would have been one more tool for the same code. Several threads need shared memory: Node has it,
 * a browser where the page is cross-origin isolated; elsewhere the backend runs on one thread.
 */
export class CpuBackend implements Calls.Backend {
  readonly engine: CpuEngine;
  readonly info: Calls.BackendInfo;

  private constructor(engine: CpuEngine, info: Calls.BackendInfo) {
    this.engine = engine;
    this.info = info;
  }

  /** `create`, and in a browser its threads started. Where that cannot be, it runs on one, and says so on the console. */
  static async request(options: CpuOptions = {}): Promise<CpuBackend> {
    const backend = CpuBackend.create(options);
    if (platform === "node") return backend;
    try {
      await backend.engine.start();
      return backend;
    } catch (error) {
      backend.destroy();
      const reason = `${options.reason ?? ASKED_FOR}; ${oneThread(`its workers do not start (${error instanceof Error ? error.message : error})`)}`;
      return CpuBackend.create({ ...options, threads: 1, reason });
    }
  }

  /** @throws DeviceError where WebAssembly has no SIMD, and for a width of vectors that there is not. */
  static create(options: CpuOptions = {}): CpuBackend {
    if (!hasSimd()) {
      throw new DeviceError(
        "the CPU backend needs WebAssembly SIMD: use Node 20 or later, or a browser of 2023 or later",
      );
    }
    if (options.relaxed !== false) enableRelaxedSimd();
    const relaxed = options.relaxed !== false && hasRelaxedSimd();
    const shared = typeof SharedArrayBuffer !== "undefined" && (globalThis.crossOriginIsolated ?? true);
    const wanted = options.threads ?? (env().threads || logicalCores());
    const threads = shared ? Math.min(MAX_THREADS, Math.max(1, Math.floor(wanted))) : 1;
    const limit = options.memoryLimit === undefined ? {} : { memoryLimit: options.memoryLimit };
    const { wide, paired } = widthOf(String(options.simd ?? env().simd), relaxed);
    const target = { relaxed, wide };
    const engine = new CpuEngine({
      threads,
      shared: shared && threads > 1,
      target,
      mayWait: mayBlock(),
      ...limit,
      ...options.engine,
    });
    const simd = `SIMD${paired ? " of 256 bits" : ""}${relaxed ? " + relaxed" : ""}`;
    const count = threads === 1 ? "1 thread" : `${threads} threads`;
    const adapter = `CPU, WASM ${simd}, ${count}`;
    const chosen = options.reason ?? ASKED_FOR;
    const reason = shared || wanted <= 1 ? chosen : `${chosen}; ${oneThread(NOT_ISOLATED)}`;
    if (env().debug >= 1) {
      console.error(`deplsr: ${adapter}: ${reason}`);
      onExit(() => printMemory(`${engine.launched} launches of ${engine.kernels} kernels`, engine.pool.report()));
    }
    const backend = new CpuBackend(engine, {
      backend: "cpu",
      adapter,
      kind: "cpu",
      reason,
      software: true,
      // The name under which ops ask for f16.
      features: ["shader-f16", ...(relaxed ? ["relaxed-simd"] : []), ...(paired ? ["simd-256"] : [])],
      limits: { threads, memoryBytes: engine.pool.limit },
      maxTensorBytes: engine.pool.largest,
    });
    if (env().poison) poison(engine);
    if (env().debug >= 2 || env().trace) watch(backend);
    return backend;
  }

  allocate(bytes: number, label: string): Calls.Storage {
    this.engine.throwIfEnded();
    return this.engine.pool.take(bytes, label);
  }

  allocateLot(sizes: readonly number[], label: string): Calls.Lot {
    this.engine.throwIfEnded();
    return this.engine.pool.takeLot(sizes, label);
  }

  upload(storage: Calls.Storage, bytes: Uint8Array): void {
    this.engine.write(storage as Block, bytes);
  }

  async download(storage: Calls.Storage, byteOffset: number, bytes: number): Promise<ArrayBuffer> {
    return this.downloadNow(storage, byteOffset, bytes);
  }

  downloadNow(storage: Calls.Storage, byteOffset: number, bytes: number): ArrayBuffer {
    return this.engine.read(storage as Block, byteOffset, bytes);
  }

  async flush(): Promise<void> {
    this.engine.throwIfEnded();
    this.engine.run();
  }

  memory(): Calls.MemoryReport {
    return this.engine.pool.report();
  }

  memoryProfile(): readonly Calls.OpMemory[] {
    return this.engine.pool.profile();
  }

  destroy(): void {
    this.engine.destroy();
  }

  pointwise = (call: Calls.PointwiseCall): void => pointwise(this.engine, call);
  copy = (call: Calls.CopyCall): void => copy(this.engine, call);
  reduce = (call: Calls.ReduceCall): void => reduce(this.engine, call);
  matmul = (call: Calls.MatmulCall): void => matmul(this.engine, call);
  conv2d = (call: Calls.ConvCall): void => conv.conv2d(this.engine, call);
  conv2dInputGrad = (call: Calls.ConvCall): void => conv.conv2dInputGrad(this.engine, call);
  conv2dWeightGrad = (call: Calls.ConvCall): void => conv.conv2dWeightGrad(this.engine, call);
  softmax = (call: Calls.SoftmaxCall): void => rows.softmax(this.engine, call);
  softmaxGrad = (call: Calls.SoftmaxGradCall): void => rows.softmaxGrad(this.engine, call);
  layerNorm = (call: Calls.NormCall): void => rows.layerNorm(this.engine, call);
  layerNormGrad = (call: Calls.NormGradCall): void => rows.layerNormGrad(this.engine, call);
  gather = (call: Calls.GatherCall): void => indexing.gather(this.engine, call);
  gatherElements = (call: Calls.GatherElementsCall): void => indexing.gatherElements(this.engine, call);
  segmentSum = (call: Calls.SegmentSumCall): void => indexing.segmentSum(this.engine, call);
  scatterAdd = (call: Calls.ScatterAddCall): void => indexing.scatterAdd(this.engine, call);
  resample = (call: Calls.ResampleCall): void => indexing.resample(this.engine, call);
  random = (call: Calls.RandomCall): void => random(this.engine, call);
  countDistinct = (call: Calls.CountDistinctCall): void => indexing.countDistinct(this.engine, call);
  adam = (call: Calls.AdamCall): void => adam(this.engine, call);
  attention = (call: Calls.AttentionCall): void => attention(this.engine, call);
  attentionGrad = (call: Calls.AttentionGradCall): void => attentionGrad(this.engine, call);
}
