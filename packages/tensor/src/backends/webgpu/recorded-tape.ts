import type { DeviceError } from "../../errors.ts";
import type { BufferStorage } from "./gpu.ts";
import { aligned, copyUniforms, type Launch, type Move, newBindGroup } from "./launch.ts";

/** What one run of a tape gives a pass; made once. */
export interface Prepared {
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
