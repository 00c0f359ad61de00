import { findAdapter, gpuPossible } from "#platform";
import {
  checkChoice,
  checkDType,
  checkFlag,
  checkFunction,
  checkNumber,
  checkOptions,
  checkWhole,
  numbersOf,
} from "./arguments.ts";
import type { Backend, BackendInfo, MemoryReport, OpMemory, View } from "./backend.ts";
import { CpuBackend } from "./backends/cpu/backend.ts";
import { WebGPUBackend } from "./backends/webgpu/backend.ts";
import { captured } from "./capture.ts";
import { type Data, type DType, defaultDType, encode, encodeTyped, type NestedData, toWhole } from "./dtype.ts";
import { env } from "./env.ts";
import { DeviceError, DTypeError, refuseAsync, ShapeError, shown } from "./errors.ts";
import { cast, type Expr, param } from "./expr/expr.ts";
import { settleIndices } from "./index-check.ts";
import { filled } from "./making.ts";
import { reclaim } from "./net.ts";
import { checkOperands } from "./operands.ts";
import { paced } from "./pace.ts";
import type { AdapterChoice } from "./platform/adapter.ts";
import { scope, transient } from "./scope.ts";
import { checkShape, numel, type Shape } from "./shape.ts";
import type {
  Captured,
  CaptureInput,
  CaptureResult,
  Device as DeviceOfTensors,
  Tensor,
  TensorOptions,
} from "./tensor.ts";

/** Which engine to run on; see `Device.request`. */
export interface DeviceOptions {
  readonly backend?: "auto" | "webgpu" | "cpu";
  readonly adapter?: AdapterChoice;
  /** Threads of the CPU backend, at most 256; default `DEPLSR_THREADS`, else one for each core. */
  readonly threads?: number;
  /**
   * Bits of the vectors that the CPU backend writes kernels for; results are the same. Default `DEPLSR_SIMD`, else 256 where the
   * JavaScript engine makes one instruction of two and the processor has such instructions (Node 24 to 26 on x64 with AVX2), else 128,
   * which is faster elsewhere.
   */
  readonly simd?: 128 | 256;
  /**
   * Bytes that the device's tensors may take together, what waits for its next use included: an op that there is no room for fails with a
   * DeviceError that names it, and everything else goes on. Default: what the adapter has; of a software adapter's, 3/4 of the machine's
   * memory; on the CPU 4 GiB.
   */
  readonly memoryLimit?: number;
}

const REQUEST = ["backend", "adapter", "threads", "simd", "memoryLimit"] as const satisfies (keyof DeviceOptions)[];
const TENSOR = ["dtype", "label"] as const satisfies (keyof TensorOptions)[];
const FILL: Readonly<Record<DType, Expr>> = {
  f32: param(0, "f32"),
  f16: cast(param(0, "f32"), "f16"),
  i32: param(0, "i32"),
  u32: param(0, "u32"),
  bool: param(0, "bool"),
};

const BACKENDS: readonly string[] = ["auto", "webgpu", "cpu"];
const ADAPTERS: readonly string[] = ["auto", "hardware", "system", "swiftshader"];

/** A place where tensors live and ops run. Devices are explicit: ops take their operands' device, and two do not mix. */
export class Device implements DeviceOfTensors {
  readonly backend: Backend;

  constructor(backend: Backend) {
    this.backend = checkOperands(backend);
  }

  /**
   * Opens a device. Options win over the variables `DEPLSR_BACKEND` and `DEPLSR_ADAPTER`. The backend `auto` is a hardware GPU
   * where there is one, else the CPU; asking for an adapter by name is asking for WebGPU. With `webgpu` the adapter `auto` is a
   * hardware GPU, else a software Vulkan driver of the system, else SwiftShader.
   * @throws DeviceError with instructions where there is none.
   */
  static async request(options: DeviceOptions = {}): Promise<Device> {
    checkOptions("Device.request", options, REQUEST);
    const { threads, simd, memoryLimit } = options;
    if (threads !== undefined) checkWhole("Device.request", "threads", threads, 0);
    if (simd !== undefined) checkChoice("Device.request", "simd", simd, [128, 256]);
    if (memoryLimit !== undefined) checkWhole("Device.request", "memoryLimit", memoryLimit, 1);
    const limit = memoryLimit === undefined ? {} : { memoryLimit };
    const backend = options.backend ?? env().backend;
    const adapter = options.adapter ?? env().adapter;
    if (!BACKENDS.includes(backend))
      throw new DeviceError(`backend ${shown(backend)} is none of ${BACKENDS.join(", ")}`);
    if (!ADAPTERS.includes(adapter))
      throw new DeviceError(`adapter ${shown(adapter)} is none of ${ADAPTERS.join(", ")}`);
    const cpu = {
      ...limit,
      ...(options.threads ? { threads: options.threads } : {}),
      ...(options.simd ? { simd: options.simd } : {}),
    };
    if (backend === "cpu") return new Device(await CpuBackend.request(cpu));
    if (backend === "webgpu" || adapter !== "auto") {
      return new Device(await WebGPUBackend.create(await findAdapter(adapter as AdapterChoice), limit));
    }
    if (!gpuPossible()) {
      // Dawn would load every software driver to find the same, and complain of their limits on stderr.
      const reason = "no hardware GPU: Linux has no device file of one";
      return new Device(await CpuBackend.request({ ...cpu, reason }));
    }
    try {
      return new Device(await WebGPUBackend.create(await findAdapter("hardware"), limit));
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n", 1)[0]! : String(error);
      return new Device(await CpuBackend.request({ ...cpu, reason }));
    }
  }

  get info(): BackendInfo {
    return this.backend.info;
  }

  /**
   * A tensor of host numbers. `shape` defaults to that of the data: one axis for an array, none for a single number, several for nested
   * arrays; the dtype to i32 or u32 for arrays of those, to f32 else. Numbers become another dtype as by `cast`: cut towards zero and at
   * the ends, NaN is 0 or true; arrays of integers keep their bits.
   * @throws ShapeError when nested arrays differ in length, or the numbers do not fill the shape; ArgumentError for data that is no
   * numbers; DTypeError for f16 where the adapter has none
   */
  tensor(data: Data | NestedData | number, shape?: Shape, options: TensorOptions = {}): Tensor {
    const { values, shape: own } = numbersOf("tensor", data);
    const sizes = shape ?? own;
    checkShape("tensor", sizes);
    checkTensorOptions("tensor", options);
    if (numel(sizes) !== values.length) {
      throw new ShapeError(
        `tensor: ${values.length} values do not fill shape [${sizes.join(", ")}] (${numel(sizes)} elements)`,
      );
    }
    const dtype = options.dtype ?? defaultDType(values);
    const label = options.label ?? "tensor";
    checkHalf("tensor", dtype, this.info);
    // A copy: the caller may go on writing to its array.
    const host = dtype === "i32" || dtype === "u32" ? encodeTyped(values, dtype).slice() : undefined;
    const upload = ({ storage }: View): void => {
      if (values.length > 0) this.backend.upload(storage, encode(host ?? values, dtype));
    };
    return filled(this, sizes, dtype, label, upload, host);
  }

  zeros(shape: Shape, options: TensorOptions = {}): Tensor {
    return uniform(this, "zeros", shape, 0, options);
  }

  ones(shape: Shape, options: TensorOptions = {}): Tensor {
    return uniform(this, "ones", shape, 1, options);
  }

  /** A tensor of one value everywhere, which becomes the dtype as by `cast`. */
  full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
    return uniform(this, "full", shape, value, options);
  }

  /** 0, 1, 2 … `count` − 1. */
  arange(count: number, options: TensorOptions = {}): Tensor {
    checkWhole("arange", "count", count, 0);
    if (count >= 2 ** 31) throw new ShapeError(`arange: count ${count} is more than an i32 can count`);
    checkTensorOptions("arange", options);
    const values = Int32Array.from({ length: count }, (_, i) => i);
    return this.tensor(values, [count], { dtype: "f32", ...options });
  }

  /**
   * Runs everything recorded and waits for it. Rejects with the device's first error, after which it is of no use; else, once, with the
   * errors of launches that no read has told since: what these were to compute is lost, everything else goes on; or with that of an index
   * out of range.
   */
  async sync(): Promise<void> {
    await Promise.all([this.backend.flush(), settleIndices(this.backend)]);
    await reclaim(this.backend);
  }

  /**
   * Hands over what is recorded, and waits until of the calls so far all but the last `ahead` have been caught up with. A loop without reads that awaits
   * it once a step is that many steps ahead of the device, and no more; with `sync` in its place the device has nothing to do while a step
   * is recorded. Rejects as `sync` does, but for indices.
   */
  async pace(ahead = 1): Promise<void> {
    checkWhole("pace", "ahead", ahead, 0);
    await paced(this.backend, ahead);
    await reclaim(this.backend);
  }

  /**
   * A function of tensors, made of ops alone, that runs faster from its second call on: the first one records what it launches, every other one
   * gives the device that list again, in memory that is its own until `dispose`. It takes tensors of the shapes and dtypes of the first call, and
   * generators, and gives new tensors with the same bits as without capture; their graphs stay inside.
   *
   * It may be a whole step of training: `backward`, optimizers, averages and assignments write to tensors from outside, and dropout draws from
   * generators, each call as the function itself would. That goes as long as writes stay where those tensors lie; where one cannot, since somebody
   * holds the old value, or where a tensor that is only read was written by others, the function is run and recorded anew. JavaScript in it (a
   * branch, a print, a number that a formula takes) runs when it is recorded only, unless `eachCall` says otherwise, and so does the check of
   * indices that are made on the device. The CPU backend calls it each time.
   * @throws in a call: ShapeError or DTypeError for inputs that differ from the first call's; Error where the function is asynchronous, or draws
   * numbers on the host or from a generator that it makes
   */
  capture<Inputs extends readonly CaptureInput[], Result extends CaptureResult>(
    work: (...inputs: Inputs) => Result,
  ): Captured<Inputs, Result> {
    return captured(this, work);
  }

  /**
   * Runs a function now so that what it needs is there when it counts: every kernel is compiled and launched once, since some drivers compile at the
   * first launch. What it makes is freed, its results too; what it writes stays written. Resolves when all has run. A step of training writes its
   * parameters to other memory the first time: two make everything that a third one needs.
   * @throws what the function throws, and what `sync` does; Error for an asynchronous function
   */
  async warmup(work: () => unknown): Promise<void> {
    checkFunction("warmup", "work", work);
    // What leaves the inner one is computed, graphs or not, and freed by the outer one.
    scope(() => void transient(() => refuseAsync("warmup", work())));
    await this.sync();
  }

  /** Bytes of this moment, and the most there have been. */
  memory(): MemoryReport;
  /** Also which ops hold them, the ten largest, at the highest moment since the last call that asked for it; of this moment at the first one. */
  memory(options: { readonly profile: true }): MemoryReport & { readonly profile: readonly OpMemory[] };
  memory(options: { readonly profile?: boolean } = {}): MemoryReport & { readonly profile?: readonly OpMemory[] } {
    checkOptions("memory", options, ["profile"]);
    checkFlag("memory", "profile", options.profile);
    const report = this.backend.memory();
    return options.profile ? { ...report, profile: this.backend.memoryProfile() } : report;
  }

  /** Gives the device back; its tensors are gone with it. */
  destroy(): void {
    this.backend.destroy();
  }
}

function checkTensorOptions(op: string, options: TensorOptions): void {
  checkOptions(op, options, TENSOR);
  checkDType(op, options.dtype);
}

function uniform(device: Device, op: string, shape: Shape, value: number, options: TensorOptions): Tensor {
  checkShape(op, shape);
  if (!Number.isNaN(value)) checkNumber(op, "value", value);
  checkTensorOptions(op, options);
  const dtype = options.dtype ?? "f32";
  checkHalf(op, dtype, device.info);
  // A param, so that every number shares one kernel.
  const params = [
    dtype === "i32" || dtype === "u32" ? toWhole(value, dtype) : dtype === "bool" ? Number(value !== 0) : value,
  ];
  return filled(device, shape, dtype, options.label ?? "full", (out) =>
    device.backend.pointwise({ out, tree: FILL[dtype], leaves: [], params }),
  );
}

/** @throws DTypeError for f16 where the adapter has none */
function checkHalf(op: string, dtype: DType, { adapter, features }: BackendInfo): void {
  if (dtype === "f16" && !features.includes("shader-f16"))
    throw new DTypeError(`${op}: ${adapter} has no f16; use f32`);
}
