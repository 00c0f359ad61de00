/** What kernels and the launch queue know of a device, so that neither needs the other or the device itself. */
import type { BackendInfo } from "../../backend.ts";
import type { DeviceError } from "../../errors.ts";
import type { Held } from "../pool.ts";

/** A GPU buffer, with a number that names it in the cache of bind groups and is never used twice. */
export interface DeviceBuffer {
  readonly buffer: GPUBuffer;
  readonly id: number;
  readonly window?: { readonly of: DeviceBuffer; readonly offset: number; readonly bytes: number };
  /** Why the device has no memory for it, once that is known. */
  refused: DeviceError | undefined;
}

export type BufferStorage = Held<DeviceBuffer>;

/** Types of uniform fields; arrays are arrays of vec4, whose stride is the 16 bytes that uniforms ask for. */
export type UniformType =
  | "u32"
  | "i32"
  | "f32"
  | "vec4u"
  | "vec4i"
  | "vec4f"
  | `array<vec4${"u" | "i" | "f"}, ${number}>`;

/** Uniforms of a launch, where they lie among those of others until they are submitted. */
export interface Uniforms {
  readonly words: Uint32Array;
  /** The first word. */
  readonly from: number;
}

/** A kernel that has been given its template parameters and belongs to one device. */
export interface Compiled {
  readonly name: string;
  readonly code: string;
  readonly operandNames: readonly string[];
  /** The operands after this many are written. */
  readonly inputs: number;
  /** Each field's first word, and whether its words are floats. */
  readonly uniformFields: readonly { readonly name: string; readonly word: number; readonly float: boolean }[];
  readonly uniformBytes: number;
  readonly bindGroupLayout: GPUBindGroupLayout;
  /** Undefined while the driver compiles, and for ever where it does not. */
  pipeline: GPUComputePipeline | undefined;
  /** Why there is no pipeline and never will be. */
  problem: string | undefined;
  readonly ready: Promise<void>;
  readonly id: number;
}

/** What a kernel needs of a device: to choose its variant, to compile it and to record a launch. */
export interface Gpu {
  /** The one size that subgroups have here, or 0 where there are none or they vary. */
  readonly subgroupSize: number;
  /** Software rasterisers: few cores, dear workgroups, no gain from many. */
  readonly software: boolean;
  readonly pool: { take(bytes: number, label: string): BufferStorage };
  readonly queue: {
    launch(
      kernel: Compiled,
      operands: readonly BufferStorage[],
      uniforms: Uniforms,
      grid: readonly [number, number, number],
      later?: () => Uniforms,
    ): void;
  };
  nextKernelId(): number;
  /** One layout for each number of operands: dense, read-only first, the uniforms last. */
  bindGroupLayout(inputs: number, outputs: number, uniforms: boolean): GPUBindGroupLayout;
  /** Compiles; the promise never rejects. */
  compile(
    name: string,
    code: string,
    bindGroupLayout: GPUBindGroupLayout,
  ): Promise<Pick<Compiled, "pipeline" | "problem">>;
}

/** What the launch queue needs of a device: the driver, and somebody who takes its errors. */
export interface Driver {
  readonly device: GPUDevice;
  readonly info: BackendInfo;
  /** Settles when the device has said of every buffer whether it has the memory; undefined when it has. */
  readonly allocating: Promise<void> | undefined;
  /** Runs something that talks to the driver with its errors caught: they are the device's, and `settled` reports them. */
  guarded(work: () => void): void;
  /** Runs it, and passes on what was invalid in it, if anything was; `settled` waits for that, and for what `then` does about it. */
  judged(work: () => void, then: (invalid: string | undefined) => Promise<void> | void): Promise<void>;
  /**
   * The error of one launch: what it was to write fails, everything else goes on. Somebody has to be told of it: who reads that, or the
   * next sync.
   * @param label of what it was to write
   */
  blame(label: string, problem: string): DeviceError;
  /** Somebody was told. */
  told(error: DeviceError): void;
  /** Waits for the driver's verdict on everything submitted. */
  settled(): Promise<void>;
  /** Told after a read or a sync when everything recorded is with the driver. */
  flushed(): void;
}
