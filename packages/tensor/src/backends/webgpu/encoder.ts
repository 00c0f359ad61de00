import type { DeviceError } from "../../errors.ts";
import type { BufferStorage, Compiled, DeviceBuffer, Driver } from "./gpu.ts";
import { type Launch, type Move, newBindGroup } from "./launch.ts";
import type { Profiler } from "./profile.ts";
import type { Prepared, Replay } from "./recorded-tape.ts";
import { type UniformSlot, UniformStore } from "./uniforms.ts";

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
export type Work = Launch | Read | Replay;

/** A kernel with buffers, and with a place for its uniforms. */
interface BindGroup {
  /** Or what is wrong with it. */
  readonly group: GPUBindGroup | string;
  readonly buffers: readonly DeviceBuffer[];
  readonly slot: UniformSlot | undefined;
  /** The last submission whose launches bind it: what lies in its place cannot be changed before that is handed over. */
  submission: number;
}

/** Bind groups that are kept; past that all go. */
const MAX_BIND_GROUPS = 16_384;

/**
 * Turns launches and reads into command buffers. A launch that cannot run is left out: what it was to write is marked as failed, and
 * who reads that, or writes on in it, is left out and marked in turn.
 */
export class WorkEncoder {
  readonly #gpu: Driver;
  readonly #profiler: Profiler | undefined;
  readonly #maxGrid: number;
  readonly #uniforms: UniformStore;
  /** Several for one kernel and the same buffers where one submission launches it with several uniforms. */
  readonly #bindGroups = new Map<string, BindGroup[]>();
  #bindGroupCount = 0;
  #submissions = 0;

  constructor(gpu: Driver, profiler: Profiler | undefined) {
    this.#gpu = gpu;
    this.#profiler = profiler;
    this.#uniforms = new UniformStore(gpu.device);
    this.#maxGrid = gpu.device.limits.maxComputeWorkgroupsPerDimension;
  }

  /** Encodes what can run of this, several launches to a pass, and submits it. */
  submit(work: readonly Work[]): void {
    const { device } = this.#gpu;
    const profiler = this.#profiler;
    if (this.#bindGroupCount > MAX_BIND_GROUPS) this.forgetAll();
    this.#submissions++;
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    let lastKernel: Compiled | undefined;
    let lastGroup: GPUBindGroup | undefined;
    const begin = (descriptor?: GPUComputePassDescriptor): void => {
      pass = encoder!.beginComputePass(descriptor);
      lastKernel = undefined;
      lastGroup = undefined;
    };
    const run = ({ kernel, grid, operands }: Launch, group: GPUBindGroup): void => {
      encoder ??= device.createCommandEncoder();
      if (profiler) {
        // Timestamps are written by passes, so a profiled launch has a pass of its own.
        pass?.end();
        const bytes = operands.reduce((sum, storage) => sum + storage.bytes, 0);
        begin(profiler.pass(kernel.name, grid, bytes));
      }
      if (!pass) begin();
      if (kernel !== lastKernel) pass!.setPipeline(kernel.pipeline!);
      if (group !== lastGroup) pass!.setBindGroup(0, group);
      lastKernel = kernel;
      lastGroup = group;
      pass!.dispatchWorkgroups(grid[0], grid[1], grid[2]);
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
        if (prepared) entry.tape.change(device, entry.changes);
        for (const part of prepared ?? []) {
          if ("launch" in part) run(part.launch, part.group);
          else move(outsideOfPass(), part);
        }
        continue;
      }
      const group = this.#prepare(entry);
      entry.encoded = group !== undefined;
      if (group) run(entry, group);
    }
    pass?.end();
    if (!encoder) return;
    profiler?.resolve(encoder);
    this.#uniforms.write();
    device.queue.submit([encoder.finish()]);
    profiler?.collect();
  }

  /** Encodes one thing by itself, to hear whether it is valid; it does not run. */
  probe(entry: Work): void {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    if (entry.kind === "read") this.#copy(encoder, entry).destroy();
    else if (entry.kind === "launch") this.#probeLaunch(encoder, entry);
    else {
      entry.tape.release();
      const prepared = this.#prepareTape(entry) ?? [];
      for (const part of prepared) {
        if ("launch" in part) this.#probeLaunch(encoder, part.launch);
        else move(encoder, part);
      }
    }
    encoder.finish();
  }

  #probeLaunch(encoder: GPUCommandEncoder, launch: Launch): void {
    const { kernel, grid } = launch;
    const pass = encoder.beginComputePass();
    pass.setPipeline(kernel.pipeline!);
    // Its own one: why a bind group is invalid is said when it is made.
    const slot = this.#uniforms.take(kernel.uniformBytes);
    pass.setBindGroup(0, newBindGroup(this.#gpu.device, launch, slot));
    this.#uniforms.giveBack(slot);
    pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
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
    for (const [key, groups] of this.#bindGroups) {
      if (!groups[0]!.buffers.some((buffer) => gone.has(buffer.window?.of ?? buffer))) continue;
      this.#bindGroups.delete(key);
      this.#bindGroupCount -= groups.length;
      for (const { slot } of groups) if (slot) this.#uniforms.giveBack(slot);
    }
  }

  /** Drops them all: there are invalid ones among them, or too many. */
  forgetAll(): void {
    this.#bindGroups.clear();
    this.#bindGroupCount = 0;
    this.#uniforms.clear();
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
    const { kernel, operands, uniforms } = launch;
    let key = `${kernel.id}`;
    for (const { recordedPlace } of operands) key += `,${recordedPlace.id}`;
    let groups = this.#bindGroups.get(key);
    if (!groups) {
      groups = [];
      this.#bindGroups.set(key, groups);
    }
    const store = this.#uniforms;
    const own =
      groups.find(({ slot }) => !slot || store.holds(slot, uniforms)) ??
      groups.find(({ submission }) => submission !== this.#submissions) ??
      this.#newBindGroup(launch, groups);
    if (own.slot) store.put(own.slot, uniforms);
    own.submission = this.#submissions;
    return own.group;
  }

  #newBindGroup(launch: Launch, groups: BindGroup[]): BindGroup {
    const { kernel, operands } = launch;
    const slot = kernel.uniformBytes > 0 ? this.#uniforms.take(kernel.uniformBytes) : undefined;
    const group = overlap(launch) ?? newBindGroup(this.#gpu.device, launch, slot);
    const buffers = operands.map(({ recordedPlace }) => recordedPlace);
    const made: BindGroup = { group, buffers, slot, submission: 0 };
    groups.push(made);
    this.#bindGroupCount++;
    return made;
  }
}

function move(encoder: GPUCommandEncoder, { from, to, bytes }: Move): void {
  const [source, target] = [from.recordedPlace, to.recordedPlace];
  const start = (place: DeviceBuffer): number => place.window?.offset ?? 0;
  encoder.copyBufferToBuffer(source.buffer, start(source), target.buffer, start(target), bytes);
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

/** What did not run, and cannot any more, fails, and so does what read it since. */
export function giveUp(
  work: readonly Work[],
  since: readonly Work[],
  blame: (label: string, why: string) => DeviceError,
): void {
  const invalid = work.filter(({ error }) => error);
  const cause = invalid[0]?.error;
  for (const entry of invalid) spread(entry);
  for (const entry of work) {
    if (spread(entry)) continue;
    const why = `did not run, being submitted together with what is invalid: ${cause?.message}`;
    entry.error = blame(labelOf(entry), why);
    spread(entry);
  }
  for (const entry of since) spread(entry);
}
