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

/** A copy from a buffer to another one, at its place among launches. */
export interface Move {
  readonly kind: "move";
  readonly from: BufferStorage;
  readonly to: BufferStorage;
  readonly bytes: number;
}

/** What one run of a tape gives a pass; made once. */
interface Prepared {
  readonly launch: Launch;
  readonly group: GPUBindGroup;
  readonly slot: number;
}

/** Launches that are run again as they were recorded. */
export interface Replay {
  readonly kind: "replay";
  readonly tape: RecordedTape;
  /** What it reads from outside, then what it writes. */
  readonly operands: readonly BufferStorage[];
  readonly inputs: number;
  encoded: boolean;
  error: DeviceError | undefined;
  marked: BufferStorage[] | undefined;
}

/** A list of launches, and what running them once more needs: made at the first replay. */
export class RecordedTape {
  readonly entries: (Launch | Move)[] = [];
  #prepared: (Prepared | Move)[] | undefined;
  #uniforms: GPUBuffer | undefined;
  #compiled = false;

  /** True while the driver still compiles one of its kernels. */
  get compiles(): boolean {
    this.#compiled ||= this.entries.every(
      (entry) => entry.kind === "move" || entry.kernel.pipeline !== undefined || entry.kernel.problem !== undefined,
    );
    return !this.#compiled;
  }

  /** One of its buffers has failed. */
  get failed(): boolean {
    return this.entries.some((entry) =>
      entry.kind === "move" ? entry.to.failure : entry.operands.some((storage) => storage.failure),
    );
  }

  get ready(): Promise<unknown> {
    return Promise.all(this.entries.map((entry) => (entry.kind === "move" ? undefined : entry.kernel.ready)));
  }

  /** What a run consists of, or what is wrong with it. */
  prepared(device: GPUDevice, wrong: (launch: Launch) => string | undefined): readonly (Prepared | Move)[] | string {
    if (this.#prepared) return this.#prepared;
    let bytes = 0;
    const slots = this.entries.map((entry) => {
      const slot = bytes;
      if (entry.kind === "launch") bytes += aligned(entry.kernel.uniformBytes);
      return slot;
    });
    const staged = new Uint32Array(bytes / 4);
    for (const [i, entry] of this.entries.entries()) {
      if (entry.kind === "move") continue;
      const problem = wrong(entry);
      if (problem !== undefined) return `kernel ${entry.kernel.name} ${problem}`;
      copyUniforms(entry, staged, slots[i]! / 4);
    }
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const uniforms = bytes > 0 ? device.createBuffer({ label: "uniforms of a tape", size: bytes, usage }) : undefined;
    if (uniforms) device.queue.writeBuffer(uniforms, 0, staged);
    this.#uniforms = uniforms;
    this.#prepared = this.entries.map((entry, i) =>
      entry.kind === "move" ? entry : { launch: entry, group: newBindGroup(device, entry, uniforms), slot: slots[i]! },
    );
    return this.#prepared;
  }

  release(): void {
    this.#prepared = undefined;
    this.#uniforms?.destroy();
    this.#uniforms = undefined;
  }
}

/** What is encoded. */
export type Work = Launch | Read | Replay;

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
      bytes += aligned(launch.kernel.uniformBytes);
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
    for (const launch of launches) copyUniforms(launch, staged, launch.slot / 4);
    this.#gpu.device.queue.writeBuffer(this.#uniformBuffer, 0, staged, 0, bytes / 4);
  }

  /** Encodes what can run of this, several launches to a pass, and submits it. */
  submit(work: readonly Work[]): void {
    const { device } = this.#gpu;
    const profiler = this.#profiler;
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    let lastKernel: Compiled | undefined;
    const run = ({ kernel, grid, operands }: Launch, group: GPUBindGroup, slot: number): void => {
      encoder ??= device.createCommandEncoder();
      if (profiler) {
        // Timestamps are written by passes, so a profiled launch has a pass of its own.
        pass?.end();
        const bytes = operands.reduce((sum, storage) => sum + storage.bytes, 0);
        pass = encoder.beginComputePass(profiler.pass(kernel.name, grid, bytes));
        lastKernel = undefined;
      }
      if (!pass) {
        pass = encoder.beginComputePass();
        lastKernel = undefined;
      }
      if (kernel !== lastKernel) pass.setPipeline(kernel.pipeline!);
      lastKernel = kernel;
      dispatch(pass, kernel, grid, group, slot);
    };
    const outsideOfPass = (): GPUCommandEncoder => {
      pass?.end();
      pass = undefined;
      encoder ??= device.createCommandEncoder();
      return encoder;
    };
    for (const entry of work) {
      if (entry.kind === "read") {
        if (!spread(entry)) entry.staging = this.#copy(outsideOfPass(), entry);
        continue;
      }
      if (entry.kind === "replay") {
        const prepared = this.#prepareTape(entry);
        entry.encoded = prepared !== undefined;
        for (const part of prepared ?? []) {
          if ("launch" in part) run(part.launch, part.group, part.slot);
          else move(outsideOfPass(), part);
        }
        continue;
      }
      const group = this.#prepare(entry);
      entry.encoded = group !== undefined;
      if (group) run(entry, group, entry.slot);
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
    else if (entry.kind === "launch") this.#probeLaunch(encoder, entry, this.#uniformBuffer);
    else {
      entry.tape.release();
      const prepared = this.#prepareTape(entry) ?? [];
      for (const part of prepared) {
        if ("launch" in part) this.#probeLaunch(encoder, part.launch, this.#uniformBuffer);
        else move(encoder, part);
      }
    }
    encoder.finish();
  }

  #probeLaunch(encoder: GPUCommandEncoder, launch: Launch, uniforms: GPUBuffer | undefined): void {
    const { kernel, grid, slot } = launch;
    const pass = encoder.beginComputePass();
    pass.setPipeline(kernel.pipeline!);
    // Its own one: why a bind group is invalid is said when it is made.
    dispatch(pass, kernel, grid, newBindGroup(this.#gpu.device, launch, uniforms), slot);
    pass.end();
  }

  /** What a tape runs with. Undefined where it does not run: then its results have failed. */
  #prepareTape(entry: Replay): readonly (Prepared | Move)[] | undefined {
    if (spread(entry)) return undefined;
    const wrong = (launch: Launch): string | undefined =>
      launch.kernel.problem ?? this.#wrongGrid(launch) ?? overlap(launch);
    const prepared = entry.tape.prepared(this.#gpu.device, wrong);
    if (typeof prepared !== "string") return prepared;
    entry.error = this.#gpu.blame(labelOf(entry), prepared);
    spread(entry);
    return undefined;
  }

  /** Drops the bind groups of buffers that are no more. */
  forget(gone: ReadonlySet<DeviceBuffer>): void {
    for (const [key, { buffers }] of this.#bindGroups) {
      if (buffers.some((buffer) => gone.has(buffer.window?.of ?? buffer))) this.#bindGroups.delete(key);
    }
  }

  /** Drops them all: there are invalid ones among them. */
  forgetAll(): void {
    this.#bindGroups.clear();
  }

  #copy(encoder: GPUCommandEncoder, { storage, byteOffset, bytes }: Read): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#gpu.device.createBuffer({ label: "readback", size: bytes, usage });
    const { buffer, window } = storage.recordedPlace;
    encoder.copyBufferToBuffer(buffer, (window?.offset ?? 0) + byteOffset, staging, 0, bytes);
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
    const group = overlap(launch) ?? newBindGroup(this.#gpu.device, launch, this.#uniformBuffer);
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
    this.#bindGroups.set(key, { group, buffers: operands.map(({ recordedPlace }) => recordedPlace) });
    return group;
  }
}

function newBindGroup(device: GPUDevice, { kernel, operands }: Launch, uniforms: GPUBuffer | undefined): GPUBindGroup {
  const entries: GPUBindGroupEntry[] = operands.map(({ recordedPlace: { buffer, window } }, binding) => ({
    binding,
    resource: window ? { buffer, offset: window.offset, size: window.bytes } : { buffer },
  }));
  if (kernel.uniformBytes > 0) {
    if (!uniforms) throw new DeviceError(`internal: ${kernel.name} has uniforms and no buffer for them`);
    entries.push({ binding: operands.length, resource: { buffer: uniforms, size: kernel.uniformBytes } });
  }
  return device.createBindGroup({ label: kernel.name, layout: kernel.bindGroupLayout, entries });
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
}

function copyUniforms({ uniforms: { words, from }, kernel }: Launch, target: Uint32Array, at: number): void {
  const count = kernel.uniformBytes / 4;
  for (let i = 0; i < count; i++) target[at + i] = words[from + i]!;
}

function move(encoder: GPUCommandEncoder, { from, to, bytes }: Move): void {
  const [source, target] = [from.recordedPlace, to.recordedPlace];
  const start = (place: DeviceBuffer): number => place.window?.offset ?? 0;
  encoder.copyBufferToBuffer(source.buffer, start(source), target.buffer, start(target), bytes);
}

function dispatch(
  pass: GPUComputePassEncoder,
  kernel: Compiled,
  grid: Launch["grid"],
  group: GPUBindGroup,
  slot: number,
): void {
  if (kernel.uniformBytes > 0) pass.setBindGroup(0, group, [slot]);
  else pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
}

/** What is written twice, or in a buffer of which something else is read, is refused by WebGPU. */
function overlap({ kernel, operands }: Launch): string | undefined {
  for (let i = kernel.inputs; i < operands.length; i++) {
    const { buffer, window } = operands[i]!.recordedPlace;
    const other = operands.findIndex(({ recordedPlace: place }, j) => {
      if (j === i || place.buffer !== buffer) return false;
      return j < kernel.inputs || !window || !place.window || meet(window, place.window);
    });
    if (other < 0) continue;
    const names = [kernel.operandNames[other], kernel.operandNames[i]].join(" and ");
    return `has one buffer for ${names}, of which it writes the latter`;
  }
  return undefined;
}

type Window = NonNullable<DeviceBuffer["window"]>;

function meet(a: Window, b: Window): boolean {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/** The first thing that it writes, or the thing that it reads, in messages. */
export function labelOf(entry: Work): string {
  return (entry.kind === "read" ? entry.storage : entry.operands[inputsOf(entry)])?.label ?? "nothing";
}

function inputsOf(entry: Launch | Replay): number {
  return entry.kind === "launch" ? entry.kernel.inputs : entry.inputs;
}

/** Whether it fails: since something that it needs has failed, or by itself. Then what it was to write has failed too. */
export function spread(entry: Work): boolean {
  if (entry.kind === "read") {
    entry.error ??= failureOf(entry.storage);
    return entry.error !== undefined;
  }
  const { operands } = entry;
  let { error } = entry;
  for (let i = operands.length - 1; i >= 0; i--) error = failureOf(operands[i]!) ?? error;
  if (!error) return false;
  for (const storage of operands.slice(inputsOf(entry))) {
    if (storage.failure) continue;
    storage.failure = error;
    entry.marked ??= [];
    entry.marked.push(storage);
  }
  return true;
}

/** Why there is nothing in it: what was to be computed into it has failed, or the device has no memory for it. */
function failureOf({ failure, recordedPlace }: BufferStorage): DeviceError | undefined {
  return failure ?? recordedPlace.refused;
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
