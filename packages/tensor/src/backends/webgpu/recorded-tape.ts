import type { DeviceError } from "../../errors.ts";
import type { BufferStorage, Uniforms } from "./gpu.ts";
import { aligned, copyUniforms, type Launch, type Move, newBindGroup } from "./launch.ts";
import type { UniformPlace } from "./uniforms.ts";

/** What one run of a tape gives a pass; made once. */
export interface Prepared {
  readonly launch: Launch;
  readonly group: GPUBindGroup;
}

/** Launches that are run again as they were recorded. */
export interface Replay {
  readonly kind: "replay";
  readonly tape: RecordedTape;
  /** What it reads from outside, then what it writes. */
  readonly operands: readonly BufferStorage[];
  readonly inputs: number;
  /** The uniforms of this run, of those launches that have others in each. */
  readonly changes: readonly Uniforms[];
  encoded: boolean;
  error: DeviceError | undefined;
  marked: BufferStorage[] | undefined;
}

/** A list of launches, and what running them once more needs: made at the first replay. */
export class RecordedTape {
  readonly entries: (Launch | Move)[] = [];
  #prepared: (Prepared | Move)[] | undefined;
  #uniforms: GPUBuffer | undefined;
  /** Launches whose uniforms are others in each run. Theirs come first, so that one write has them all. */
  #changing: Launch[] | undefined;
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
    const launches = this.entries.filter((entry) => entry.kind === "launch");
    let bytes = 0;
    const slots = new Map<Launch, number>();
    for (const launch of [...this.#launchesThatChange(), ...launches]) {
      if (slots.has(launch)) continue;
      slots.set(launch, bytes);
      bytes += aligned(launch.kernel.uniformBytes);
    }
    const staged = new Uint32Array(bytes / 4);
    for (const [launch, slot] of slots) {
      const problem = wrong(launch);
      if (problem !== undefined) return `kernel ${launch.kernel.name} ${problem}`;
      copyUniforms(launch.uniforms, launch.kernel.uniformBytes / 4, staged, slot / 4);
    }
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const uniforms = bytes > 0 ? device.createBuffer({ label: "uniforms of a tape", size: bytes, usage }) : undefined;
    if (uniforms) device.queue.writeBuffer(uniforms, 0, staged);
    this.#uniforms = uniforms;
    this.#prepared = this.entries.map((entry) =>
      entry.kind === "move"
        ? entry
        : { launch: entry, group: newBindGroup(device, entry, placeAt(uniforms, slots.get(entry)!)) },
    );
    return this.#prepared;
  }

  #launchesThatChange(): readonly Launch[] {
    this.#changing ??= this.entries.filter((entry) => entry.kind === "launch").filter(({ later }) => later);
    return this.#changing;
  }

  /** The uniforms of the next run. */
  changes(): readonly Uniforms[] {
    return this.#launchesThatChange().map(({ later }) => later!());
  }

  /** Writes those of a run that is encoded now, after all runs before it are with the driver. */
  change(device: GPUDevice, changes: readonly Uniforms[]): void {
    if (!this.#uniforms || changes.length === 0) return;
    const launches = this.#launchesThatChange();
    const staged = new Uint32Array(launches.reduce((bytes, { kernel }) => bytes + aligned(kernel.uniformBytes), 0) / 4);
    let at = 0;
    for (const [i, { kernel }] of launches.entries()) {
      copyUniforms(changes[i]!, kernel.uniformBytes / 4, staged, at);
      at += aligned(kernel.uniformBytes) / 4;
    }
    device.queue.writeBuffer(this.#uniforms, 0, staged);
  }

  release(): void {
    this.#prepared = undefined;
    this.#uniforms?.destroy();
    this.#uniforms = undefined;
  }
}

function placeAt(buffer: GPUBuffer | undefined, offset: number): UniformPlace | undefined {
  return buffer && { buffer, offset };
}
