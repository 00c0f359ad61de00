import { onExit, totalMemory } from "#platform";
import type { BackendInfo } from "../../backend.ts";
import { env } from "../../env.ts";
import { DeviceError, DeviceLostError, shownBytes } from "../../errors.ts";
import type { FoundAdapter } from "../../platform/adapter.ts";
import { printMemory } from "../timeline.ts";
import type { Driver, Gpu } from "./gpu.ts";
import { Profiler } from "./profile.ts";
import { LaunchQueue } from "./queue.ts";
import { BufferPool } from "./storage.ts";

const WANTED_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Of the machine's memory that the buffers of a software adapter may take. */
const MEMORY_SHARE = 0.75;

/** Errors that one message tells. */
const MOST_LINES = 8;

/** How a device is made; by default it has all that its adapter gives. */
export interface WebGPUOptions {
  /** Bytes that its tensors may take together. */
  readonly memoryLimit?: number;
  /** Limits that it is asked for with instead of its adapter's: what a smaller adapter would have. */
  readonly limits?: Readonly<Partial<Record<(typeof WANTED_LIMITS)[number], number>>>;
}

/** A WebGPU device with all that kernels need around it: queue, buffer pool, compiled pipelines, errors. */
export class WebGPU implements Gpu, Driver {
  readonly device: GPUDevice;
  readonly info: BackendInfo;
  readonly queue: LaunchQueue;
  readonly pool: BufferPool;
  readonly subgroupSize: number;
  readonly software: boolean;
  // Held so that the collector keeps Dawn's instance, without which the process goes down.
  readonly #found: FoundAdapter;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  #checks: Promise<void>[] = [];
  /** Errors of launches of which nobody has been told, by their messages. */
  readonly #untold = new Map<string, DeviceError>();
  /** Settles when every check that somebody has waited for so far has. */
  #checked: Promise<unknown> = Promise.resolve();
  #failure: DeviceError | undefined;
  #destroyed = false;
  #kernelIds = 0;

  private constructor(found: FoundAdapter, device: GPUDevice, memoryLimit: number | undefined) {
    this.#found = found;
    this.device = device;
    const about = found.adapter.info;
    const { subgroupMinSize, subgroupMaxSize } = about as { subgroupMinSize?: number; subgroupMaxSize?: number };
    const fixed = device.features.has("subgroups") && subgroupMinSize && subgroupMinSize === subgroupMaxSize;
    this.subgroupSize = fixed ? subgroupMinSize : 0;
    this.software =
      found.kind === "swiftshader" || /llvmpipe|lavapipe|swiftshader|software/i.test(describeAdapter(about));
    const limits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, device.limits[name]]));
    this.info = {
      backend: "webgpu",
      adapter: describeAdapter(about),
      kind: found.kind,
      reason: found.reason,
      software: this.software,
      features: WANTED_FEATURES.filter((feature) => device.features.has(feature)),
      limits: { ...limits, subgroupSize: this.subgroupSize },
      maxTensorBytes: Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize),
    };
    const limit = poolLimit(memoryLimit, this.software);
    this.pool = new BufferPool(device, {
      largest: this.info.maxTensorBytes,
      ...(limit ? { limit } : {}),
      blame: (label, problem) => this.blame(label, problem),
      submit: () => this.queue.submitNow(),
      onDestroy: (buffers) => this.queue.forget(buffers),
    });
    const profiler =
      (env().debug >= 2 || env().trace) && device.features.has("timestamp-query")
        ? new Profiler(device, this.info.adapter, () => this.pool.report().liveBytes)
        : undefined;
    this.queue = new LaunchQueue(this, profiler);
    device.addEventListener("uncapturederror", (event) => {
      this.fail(new DeviceError(`${this.info.adapter}: ${(event as GPUUncapturedErrorEvent).error.message}`));
    });
    void device.lost.then((lost) => {
      const why = lost.message ? `: ${firstLine(lost.message)}` : "";
      this.fail(
        new DeviceLostError(
          `the device ${this.info.adapter} was lost (${lost.reason})${why}; its tensors are gone: ask for a new one with ` +
            "Device.request, and load into it what was saved",
        ),
      );
    });
    if (env().debug >= 1) {
      console.error(`deplsr: ${this.info.adapter} (${found.kind}): ${found.reason}`);
      console.error(`deplsr: ${JSON.stringify(this.info.limits)} ${this.info.features.join(" ")}`);
      onExit(() => printMemory(`${this.queue.launches} launches of ${this.#kernelIds} kernels`, this.pool.report()));
    }
    const { trace } = env();
    if (trace && !profiler) console.error(`deplsr: ${trace} is not written: ${this.info.adapter} has no timestamps`);
  }

  /** Asks the adapter for its full limits and the features that kernels can use. */
  static async create(found: FoundAdapter, { memoryLimit, limits }: WebGPUOptions = {}): Promise<WebGPU> {
    const { adapter } = found;
    const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
    const requiredLimits = Object.fromEntries(
      WANTED_LIMITS.map((name) => [name, limits?.[name] ?? adapter.limits[name]]),
    );
    const device = await adapter.requestDevice({ label: "deplsr", requiredFeatures, requiredLimits });
    return new WebGPU(found, device, memoryLimit);
  }

  nextKernelId(): number {
    return ++this.#kernelIds;
  }

  bindGroupLayout(inputs: number, outputs: number, uniforms: boolean): GPUBindGroupLayout {
    const key = `${inputs},${outputs},${uniforms}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = [];
      for (let binding = 0; binding < inputs + outputs; binding++) {
        const type = binding < inputs ? "read-only-storage" : "storage";
        entries.push({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } });
      }
      if (uniforms) {
        entries.push({ binding: inputs + outputs, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform" } });
      }
      // One with too many operands is invalid, and its kernels do not compile.
      this.device.pushErrorScope("validation");
      layout = this.device.createBindGroupLayout({ label: `${inputs + outputs} operands`, entries });
      this.device.popErrorScope().catch(() => {});
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  async compile(
    name: string,
    code: string,
    bindGroupLayout: GPUBindGroupLayout,
  ): Promise<{ pipeline: GPUComputePipeline | undefined; problem: string | undefined }> {
    if (env().debug >= 4) console.error(`deplsr: kernel ${name}\n${code}`);
    try {
      this.device.pushErrorScope("validation");
      const module = this.device.createShaderModule({ label: name, code });
      const layout = this.device.createPipelineLayout({ label: name, bindGroupLayouts: [bindGroupLayout] });
      const refused = await this.device.popErrorScope();
      if (refused) throw refused;
      const compute = { module, entryPoint: "main" };
      return {
        pipeline: await this.device.createComputePipelineAsync({ label: name, layout, compute }),
        problem: undefined,
      };
    } catch (cause) {
      const message = cause instanceof Object && "message" in cause ? String(cause.message) : String(cause);
      const details = env().debug >= 1 ? `\n${message.trim()}\n${numbered(code)}` : "";
      return {
        pipeline: undefined,
        problem: `does not compile on ${this.info.adapter}: ${firstLine(message)}${details}`,
      };
    }
  }

  guarded(work: () => void): void {
    this.device.pushErrorScope("validation");
    this.device.pushErrorScope("out-of-memory");
    try {
      work();
    } finally {
      for (let scopes = 0; scopes < 2; scopes++) {
        const check = this.device.popErrorScope().then(
          (error) => {
            if (error) this.fail(new DeviceError(`${this.info.adapter}: ${error.message}`));
          },
          () => {},
        );
        this.#checks.push(check);
      }
    }
  }

  judged(work: () => void, then: (invalid: string | undefined) => Promise<void> | void): Promise<void> {
    this.device.pushErrorScope("validation");
    let check = Promise.resolve();
    try {
      work();
    } finally {
      check = this.device
        .popErrorScope()
        // What a device does not say because it goes away, it says itself.
        .catch(() => null)
        .then((error) => then(error ? firstLine(error.message) : undefined));
      this.#checks.push(check);
    }
    return check;
  }

  blame(label: string, problem: string): DeviceError {
    const message = `${label}: ${problem}`;
    let error = this.#untold.get(message);
    if (!error) {
      error = new DeviceError(message);
      this.#untold.set(message, error);
    }
    return error;
  }

  told({ message }: DeviceError): void {
    this.#untold.delete(message);
  }

  /** Throws the errors of launches of which nobody has been told, once. */
  throwUntold(): void {
    const errors = [...this.#untold.values()];
    this.#untold.clear();
    if (errors.length <= 1) {
      for (const error of errors) throw error;
      return;
    }
    const lines = errors.slice(0, MOST_LINES).map(({ message }) => message);
    if (errors.length > MOST_LINES) lines.push(`and ${errors.length - MOST_LINES} more`);
    throw new DeviceError(lines.join("\n"), { cause: errors });
  }

  /** The first error is the one that counts; the ones after it follow from it. */
  fail(error: DeviceError): void {
    this.#failure ??= error;
    this.queue.abandon();
    this.pool.close();
  }

  /** Throws what went wrong so far, if anything did. */
  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  async settled(): Promise<void> {
    // With those that somebody else waits for already: what is asked about may be among them.
    const checks = [this.#checked, ...this.#checks.splice(0)];
    this.#checked = Promise.all(checks).then(() => undefined);
    await this.#checked;
    this.throwIfFailed();
  }

  flushed(): void {
    this.pool.trim();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.fail(new DeviceError(`the device ${this.info.adapter} was destroyed`));
    this.device.destroy();
  }

  get allocating(): Promise<void> | undefined {
    return this.pool.allocating;
  }

  /** The adapter this device came from. */
  get adapter(): GPUAdapter {
    return this.#found.adapter;
  }
}

/** Bytes of all buffers, and what says so. */
function poolLimit(
  asked: number | undefined,
  software: boolean,
): { readonly bytes: number; readonly because: string } | undefined {
  // What a software adapter takes is the machine's own memory, which ends without an error that arrives in time.
  const memory = software ? totalMemory() : undefined;
  const bytes = memory ? MEMORY_SHARE * memory : Number.POSITIVE_INFINITY;
  if (asked !== undefined && asked < bytes) return { bytes: asked, because: `memoryLimit allows ${shownBytes(asked)}` };
  if (!memory) return undefined;
  return { bytes, because: `a software adapter takes ${shownBytes(bytes)} of this machine's memory at most` };
}

/** The driver's own words where there are any: `llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)`, `NVIDIA H100 (driver 550.54)`. */
function describeAdapter({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const named = device !== "" && !plain(device).startsWith(plain(description).slice(0, 6)) ? device : "";
  if (description !== "") return named ? `${named} (${description})` : description;
  return device || [vendor, architecture].filter((part) => part !== "").join(" ") || "unnamed adapter";
}

function firstLine(message: string): string {
  return message.trim().split("\n", 1)[0]!;
}

function numbered(code: string): string {
  return code
    .split("\n")
    .map((line, i) => `${String(i + 1).padStart(4)}  ${line}`)
    .join("\n");
}
