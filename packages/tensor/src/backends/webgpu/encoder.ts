import { DeviceError } from "../../errors.ts";
import type { BufferStorage, Compiled, DeviceBuffer, Driver, Uniforms } from "./gpu.ts";
import type { Profiler } from "./profile.ts";

export interface Launch {
  readonly kind: "launch";
  readonly kernel: Compiled;
  /** Those that are read, then those that are written. */
  readonly operands: readonly BufferStorage[];
  readonly uniforms: Uniforms;
  readonly grid: readonly [number, number, number];
  /** Where its uniforms lie among those of the submission; set when the list is encoded. */
  slot: number;
  /** False where it did not run when the list was encoded last. */
  encoded: boolean;
  /** What is wrong with it, once that is known; what it reads may have failed besides. */
  error: DeviceError | undefined;
  /** What has failed since it does not run. */
  marked: BufferStorage[] | undefined;
}

/** A copy for the host of what a buffer holds at this place in the list. */
export interface Read {
  readonly kind: "read";
  readonly storage: BufferStorage;
  readonly byteOffset: number;
  readonly bytes: number;
  /** Where it arrives; made when the list is encoded. */
  staging: GPUBuffer | undefined;
  /** Why there is nothing to read, once that is known. */
  error: DeviceError | undefined;
}

/** What is encoded. */
export type Work = Launch | Read;

interface BindGroup {
  /** Or what is wrong with it. */
  readonly group: GPUBindGroup | string;
  readonly buffers: readonly DeviceBuffer[];
}

/** Dynamic uniform offsets are multiples of this; every adapter takes it. */
const UNIFORM_ALIGNMENT = 256;
/** Bind groups that are kept; past that the oldest go. */
const MAX_BIND_GROUPS = 16_384;

/**
 * Turns launches and reads into command buffers. A launch that cannot run is left out: what it was to write is marked as failed, and
 * who reads that, or writes on in it, is left out and marked in turn.
 */
export class WorkEncoder {
  readonly #gpu: Driver;
  readonly #profiler: Profiler | undefined;
  readonly #maxGrid: number;
  #uniformBuffer: GPUBuffer | undefined;
  /** What is written to it, as large as it is. */
  #staged = new Uint32Array(0);
  readonly #bindGroups = new Map<string, BindGroup>();

  constructor(gpu: Driver, profiler: Profiler | undefined) {
    this.#gpu = gpu;
    this.#profiler = profiler;
    this.#maxGrid = gpu.device.limits.maxComputeWorkgroupsPerDimension;
  }

  /** All uniforms of a submission in one buffer and one write, which the queue orders after earlier submissions. */
  writeUniforms(launches: readonly Launch[]): void {
    let bytes = 0;
    for (const launch of launches) {
      launch.slot = bytes;
      bytes += Math.ceil(launch.kernel.uniformBytes / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
    }
    if (bytes === 0) return;
    if (!this.#uniformBuffer || this.#uniformBuffer.size < bytes) {
      this.#uniformBuffer?.destroy();
      this.#uniformBuffer = this.#gpu.device.createBuffer({
        label: "uniforms",
        size: 2 ** Math.ceil(Math.log2(Math.max(bytes, 65536))),
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      });
      this.#staged = new Uint32Array(this.#uniformBuffer.size / 4);
      this.#bindGroups.clear();
    }
    const staged = this.#staged;
    for (const { uniforms, slot, kernel } of launches) {
      const { words, from } = uniforms;
      const count = kernel.uniformBytes / 4;
      for (let i = 0; i < count; i++) staged[slot / 4 + i] = words[from + i]!;
    }
    this.#gpu.device.queue.writeBuffer(this.#uniformBuffer, 0, staged, 0, bytes / 4);
  }

  /** Encodes what can run of this, several launches to a pass, and submits it. */
  submit(work: readonly Work[]): void {
    const { device } = this.#gpu;
    const profiler = this.#profiler;
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    let lastKernel: Compiled | undefined;
    for (const entry of work) {
      if (entry.kind === "read") {
        if (spread(entry)) continue;
        pass?.end();
        pass = undefined;
        encoder ??= device.createCommandEncoder();
        entry.staging = this.#copy(encoder, entry);
        continue;
      }
      const group = this.#prepare(entry);
      entry.encoded = group !== undefined;
      if (!group) continue;
      encoder ??= device.createCommandEncoder();
      if (profiler) {
        // Timestamps are written by passes, so a profiled launch has a pass of its own.
        pass?.end();
        const bytes = entry.operands.reduce((sum, storage) => sum + storage.bytes, 0);
        pass = encoder.beginComputePass(profiler.pass(entry.kernel.name, entry.grid, bytes));
        lastKernel = undefined;
      }
      if (!pass) {
        pass = encoder.beginComputePass();
        lastKernel = undefined;
      }
      if (entry.kernel !== lastKernel) pass.setPipeline(entry.kernel.pipeline!);
      lastKernel = entry.kernel;
      dispatch(pass, entry, group);
    }
    pass?.end();
    if (!encoder) return;
    profiler?.resolve(encoder);
    device.queue.submit([encoder.finish()]);
    profiler?.collect();
  }

  /** Encodes one thing by itself, to hear whether it is valid; it does not run. */
  probe(entry: Work): void {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    if (entry.kind === "read") this.#copy(encoder, entry).destroy();
    else {
      const pass = encoder.beginComputePass();
      pass.setPipeline(entry.kernel.pipeline!);
      // Its own one: why a bind group is invalid is said when it is made.
      dispatch(pass, entry, this.#newBindGroup(entry));
      pass.end();
    }
    encoder.finish();
  }

  /** Drops the bind groups of buffers that are no more. */
  forget(gone: ReadonlySet<DeviceBuffer>): void {
    for (const [key, { buffers }] of this.#bindGroups) {
      if (buffers.some((buffer) => gone.has(buffer))) this.#bindGroups.delete(key);
    }
  }

  /** Drops them all: there are invalid ones among them. */
  forgetAll(): void {
    this.#bindGroups.clear();
  }

  #copy(encoder: GPUCommandEncoder, { storage, byteOffset, bytes }: Read): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#gpu.device.createBuffer({ label: "readback", size: bytes, usage });
    encoder.copyBufferToBuffer(storage.recordedPlace.buffer, byteOffset, staging, 0, bytes);
    return staging;
  }

  /** What a launch runs with. Undefined where it does not run: then its results have failed. */
  #prepare(launch: Launch): GPUBindGroup | undefined {
    if (spread(launch)) return undefined;
    const { kernel } = launch;
    const group = kernel.problem ?? this.#wrongGrid(launch) ?? this.#bindGroup(launch);
    if (typeof group !== "string") return group;
    launch.error = this.#gpu.blame(labelOf(launch), `kernel ${kernel.name} ${group}`);
    spread(launch);
    return undefined;
  }

  #wrongGrid({ grid }: Launch): string | undefined {
    const { 0: x, 1: y, 2: z } = grid;
    const most = this.#maxGrid;
    if (x > 0 && x <= most && y > 0 && y <= most && z > 0 && z <= most) return undefined;
    return `is launched over ${grid.join(" x ")} workgroups, and ${this.#gpu.info.adapter} takes ${most} in each direction`;
  }

  #bindGroup(launch: Launch): GPUBindGroup | string {
    const { kernel, operands } = launch;
    let key = `${kernel.id}`;
    for (const { recordedPlace } of operands) key += `,${recordedPlace.id}`;
    const known = this.#bindGroups.get(key);
    if (known) return known.group;
    const group = overlap(launch) ?? this.#newBindGroup(launch);
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
    this.#bindGroups.set(key, { group, buffers: operands.map(({ recordedPlace }) => recordedPlace) });
    return group;
  }

  #newBindGroup({ kernel, operands }: Launch): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = operands.map(({ recordedPlace: { buffer } }, binding) => ({
      binding,
      resource: { buffer },
    }));
    if (kernel.uniformBytes > 0) {
      if (!this.#uniformBuffer) throw new DeviceError(`internal: ${kernel.name} has uniforms and no buffer for them`);
      entries.push({ binding: operands.length, resource: { buffer: this.#uniformBuffer, size: kernel.uniformBytes } });
    }
    return this.#gpu.device.createBindGroup({ label: kernel.name, layout: kernel.bindGroupLayout, entries });
  }
}

function dispatch(pass: GPUComputePassEncoder, { kernel, slot, grid }: Launch, group: GPUBindGroup): void {
  if (kernel.uniformBytes > 0) pass.setBindGroup(0, group, [slot]);
  else pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
}

/** What is written twice, or read while it is written, is refused by WebGPU; each operand is a whole buffer. */
function overlap({ kernel, operands }: Launch): string | undefined {
  for (let i = kernel.inputs; i < operands.length; i++) {
    const other = operands.findIndex((storage, j) => j !== i && storage.recordedPlace === operands[i]!.recordedPlace);
    if (other < 0) continue;
    const names = [kernel.operandNames[other], kernel.operandNames[i]].join(" and ");
    return `has one buffer for ${names}, of which it writes the latter`;
  }
  return undefined;
}

/** The first thing that it writes, or the thing that it reads, in messages. */
export function labelOf(entry: Work): string {
  return (entry.kind === "read" ? entry.storage : entry.operands[entry.kernel.inputs])?.label ?? "nothing";
}

/** Whether it fails: since something that it needs has failed, or by itself. Then what it was to write has failed too. */
export function spread(entry: Work): boolean {
  if (entry.kind === "read") {
    entry.error ??= entry.storage.failure;
    return entry.error !== undefined;
  }
  const { operands, kernel } = entry;
  let { error } = entry;
  for (let i = operands.length - 1; i >= 0; i--) error = operands[i]!.failure ?? error;
  if (!error) return false;
  for (const storage of operands.slice(kernel.inputs)) {
    if (storage.failure) continue;
    storage.failure = error;
    entry.marked ??= [];
    entry.marked.push(storage);
  }
  return true;
}

/** Takes back what `spread` marked: the list is where it was before these. */
export function unspread(work: readonly Work[]): void {
  for (const entry of work) {
    if (entry.kind === "read") {
      entry.error = undefined;
      continue;
    }
    for (const storage of entry.marked ?? []) storage.failure = undefined;
    entry.marked = undefined;
  }
}
