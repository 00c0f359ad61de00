import { DeviceError } from "../../errors.ts";
import type { BufferStorage, Compiled, Uniforms } from "./gpu.ts";

/** A kernel with what it reads and writes, as it is recorded. */
export interface Launch {
  readonly kind: "launch";
  readonly kernel: Compiled;
  /** Those that are read, then those that are written. */
  readonly operands: readonly BufferStorage[];
  readonly uniforms: Uniforms;
  /** Those of a replay, asked before it; undefined where they are the same. */
  readonly later: (() => Uniforms) | undefined;
  readonly grid: readonly [number, number, number];
  /** False where it did not run when the list was encoded last. */
  encoded: boolean;
  /** What is wrong with it, once that is known; what it reads may have failed besides. */
  error: DeviceError | undefined;
  /** What has failed since it does not run. */
  marked: BufferStorage[] | undefined;
}

/** A copy from a buffer to another one, at its place among launches. */
export interface Move {
  readonly kind: "move";
  readonly from: BufferStorage;
  readonly to: BufferStorage;
  readonly bytes: number;
}

/** Uniforms begin at multiples of this, which every adapter takes. */
const UNIFORM_ALIGNMENT = 256;

/** What a launch binds. @param uniforms where its uniforms lie */
export function newBindGroup(
  device: GPUDevice,
  { kernel, operands }: Launch,
  uniforms: { readonly buffer: GPUBuffer; readonly offset: number } | undefined,
): GPUBindGroup {
  const entries: GPUBindGroupEntry[] = operands.map(({ recordedPlace: { buffer, window } }, binding) => ({
    binding,
    resource: window ? { buffer, offset: window.offset, size: window.bytes } : { buffer },
  }));
  if (kernel.uniformBytes > 0) {
    if (!uniforms) throw new DeviceError(`internal: ${kernel.name} has uniforms and no buffer for them`);
    entries.push({ binding: operands.length, resource: { ...uniforms, size: kernel.uniformBytes } });
  }
  return device.createBindGroup({ label: kernel.name, layout: kernel.bindGroupLayout, entries });
}

/** Bytes of uniforms up to where the next ones may begin. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
}

/** Writes so many words of uniforms where they belong. */
export function copyUniforms({ words, from }: Uniforms, count: number, target: Uint32Array, at: number): void {
  for (let i = 0; i < count; i++) target[at + i] = words[from + i]!;
}
