import { env } from "../../env.ts";
import { DeviceError } from "../../errors.ts";
import type { BufferStorage, Compiled, DeviceBuffer, Driver } from "./gpu.ts";
import type { Profiler } from "./profile.ts";

type Entry =
  | {
      readonly kind: "launch";
      readonly kernel: Compiled;
      readonly buffers: readonly DeviceBuffer[];
      readonly uniforms: Uint32Array;
      readonly grid: readonly [number, number, number];
    }
  | { readonly kind: "upload"; readonly buffer: GPUBuffer; readonly bytes: Uint8Array }
  | Read;

/** A copy for the host of what a buffer holds at this place in the list. */
interface Read {
  readonly kind: "read";
  readonly buffer: GPUBuffer;
  readonly byteOffset: number;
  readonly bytes: number;
  /** Where it arrives; made when the list is encoded. */
  staging: GPUBuffer | undefined;
}

/** Who wants the list submitted. */
type Asker = "sync" | "read" | "background";

/** Recorded launches after which they are handed to the device without being asked. */
const BACKGROUND_FLUSH = 96;
/** Dynamic uniform offsets are multiples of this; every adapter takes it. */
const UNIFORM_ALIGNMENT = 256;
/** Bind groups that are kept; past that the oldest go. */
const MAX_BIND_GROUPS = 16_384;

/**
 * The launch list. Ops append to it; a flush waits for pipelines that still compile, encodes the list in order, several
 * launches to a pass, and submits. Uploads and reads are entries of the same list: `writeBuffer` would overtake what is recorded
 * but not submitted, and a read gives what was recorded before it, whatever is written next.
 */
export class LaunchQueue {
  readonly #gpu: Driver;
  readonly #profiler: Profiler | undefined;
  #entries: Entry[] = [];
  #running: Promise<void> = Promise.resolve();
  #scheduled = false;
  #busy = false;
  #abandoned = false;
  #uniformBuffer: GPUBuffer | undefined;
  readonly #bindGroups = new Map<string, { readonly group: GPUBindGroup; readonly buffers: readonly DeviceBuffer[] }>();
  #launches = 0;
  /** At the last flush that was told of. */
  #launchesBefore = 0;

  constructor(gpu: Driver, profiler: Profiler | undefined) {
    this.#gpu = gpu;
    this.#profiler = profiler;
  }

  /** Launches recorded since the device was made. */
  get launches(): number {
    return this.#launches;
  }

  launch(
    kernel: Compiled,
    buffers: readonly DeviceBuffer[],
    uniforms: Uint32Array,
    grid: readonly [number, number, number],
  ): void {
    if (this.#abandoned) return;
    this.#launches++;
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
    this.#entries.push({ kind: "launch", kernel, buffers, uniforms, grid });
    if (this.#entries.length >= BACKGROUND_FLUSH) this.#background();
  }

  upload(storage: BufferStorage, bytes: Uint8Array): void {
    if (this.#abandoned) return;
    this.#entries.push({ kind: "upload", buffer: storage.place.buffer, bytes });
  }

  /** Submits at once when every pipeline is there and no flush is under way; else as soon as that is so. */
  #background(): void {
    if (this.#scheduled) return;
    const waiting = this.#entries.some((entry) => entry.kind === "launch" && !entry.kernel.pipeline);
    if (!waiting && !this.#busy) {
      this.#submit();
    } else {
      this.#scheduled = true;
      const done = (): void => {
        this.#scheduled = false;
      };
      // An error stays with the device, which throws it at the next read or sync.
      void this.#flush("background").then(done, done);
    }
  }

  /** Submits all that is recorded. Rejects with the first error of the device. */
  flush(): Promise<void> {
    return this.#flush("sync");
  }

  async #flush(asker: Asker): Promise<void> {
    await this.#submitted(asker);
    await this.#gpu.settled();
  }

  /** Resolves when all that is recorded now is with the driver. */
  #submitted(asker: Asker): Promise<void> {
    const run = this.#running.then(async () => {
      await this.#drain();
      if (this.#entries.length > 0 || asker === "background") return;
      // A read of what was there already is not a step of anything.
      if (asker === "read" && this.#launches === this.#launchesBefore) return;
      this.#launchesBefore = this.#launches;
      this.#gpu.flushed();
    });
    this.#running = run.catch(() => {});
    return run;
  }

  /** Submits what is recorded as far as its kernels are compiled; true when nothing is left. */
  submitNow(): boolean {
    this.#submit();
    return this.#entries.length === 0;
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    try {
      const pending = new Set<Promise<void>>();
      for (const entry of this.#entries) {
        if (entry.kind === "launch" && !entry.kernel.pipeline) pending.add(entry.kernel.ready);
      }
      if (pending.size > 0) await Promise.all(pending);
      this.#submit();
    } finally {
      this.#busy = false;
    }
  }

  #submit(): void {
    const entries = this.#entries;
    if (entries.length === 0) return;
    // A launch recorded while pipelines were awaited may need one that is still compiling: it waits for the next turn.
    let count = entries.findIndex((entry) => entry.kind === "launch" && !entry.kernel.pipeline);
    if (count < 0) count = entries.length;
    if (count === 0) return;
    this.#entries = entries.slice(count);
    this.#gpu.guarded(() => this.#encode(entries, count));
    if (this.#entries.length > 0) this.#background();
  }

  #encode(entries: readonly Entry[], count: number): void {
    const { device } = this.#gpu;
    this.#writeUniforms(entries, count);
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    const finish = (): void => {
      pass?.end();
      const commands = encoder;
      encoder = undefined;
      pass = undefined;
      if (commands) device.queue.submit([commands.finish()]);
    };
    let slot = 0;
    let lastKernel: Compiled | undefined;
    const profiler = this.#profiler;
    const careful = env().debug >= 1 && !profiler;
    for (let i = 0; i < count; i++) {
      const entry = entries[i]!;
      if (entry.kind === "upload") {
        finish();
        lastKernel = undefined;
        device.queue.writeBuffer(entry.buffer, 0, entry.bytes as Uint8Array<ArrayBuffer>);
        continue;
      }
      encoder ??= device.createCommandEncoder();
      if (entry.kind === "read") {
        pass?.end();
        pass = undefined;
        lastKernel = undefined;
        const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
        entry.staging = device.createBuffer({ label: "readback", size: entry.bytes, usage });
        encoder.copyBufferToBuffer(entry.buffer, entry.byteOffset, entry.staging, 0, entry.bytes);
        continue;
      }
      if (profiler) {
        // Timestamps are written by passes, so a profiled launch has a pass of its own.
        pass?.end();
        const bytes = entry.buffers.reduce((sum, { buffer }) => sum + buffer.size, 0);
        pass = encoder.beginComputePass(profiler.pass(entry.kernel.name, entry.grid, bytes));
        lastKernel = undefined;
      }
      pass ??= encoder.beginComputePass();
      if (entry.kernel !== lastKernel) pass.setPipeline(entry.kernel.pipeline!);
      lastKernel = entry.kernel;
      const offset = entry.uniforms.length > 0 ? [slot] : [];
      pass.setBindGroup(0, this.#bindGroup(entry.kernel, entry.buffers), offset);
      if (entry.uniforms.length > 0)
        slot += Math.ceil(entry.uniforms.byteLength / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
      pass.dispatchWorkgroups(entry.grid[0], entry.grid[1], entry.grid[2]);
      // Each launch by itself, so that a validation error names its kernel instead of the submission.
      if (careful) {
        this.#gpu.guarded(finish, entry.kernel.name);
        lastKernel = undefined;
      }
    }
    if (profiler) {
      pass?.end();
      pass = undefined;
      if (encoder) profiler.resolve(encoder);
    }
    finish();
    profiler?.collect();
  }

  /** All uniforms of a submission in one buffer and one write, which the queue orders after earlier submissions. */
  #writeUniforms(entries: readonly Entry[], count: number): void {
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const entry = entries[i]!;
      if (entry.kind === "launch")
        bytes += Math.ceil(entry.uniforms.byteLength / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
    }
    if (bytes === 0) return;
    if (!this.#uniformBuffer || this.#uniformBuffer.size < bytes) {
      this.#uniformBuffer?.destroy();
      this.#uniformBuffer = this.#gpu.device.createBuffer({
        label: "uniforms",
        size: 2 ** Math.ceil(Math.log2(Math.max(bytes, 65536))),
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      });
      this.#bindGroups.clear();
    }
    const words = new Uint32Array(bytes / 4);
    let slot = 0;
    for (let i = 0; i < count; i++) {
      const entry = entries[i]!;
      if (entry.kind !== "launch") continue;
      words.set(entry.uniforms, slot / 4);
      slot += Math.ceil(entry.uniforms.byteLength / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
    }
    this.#gpu.device.queue.writeBuffer(this.#uniformBuffer, 0, words);
  }

  #bindGroup(kernel: Compiled, buffers: readonly DeviceBuffer[]): GPUBindGroup {
    let key = `${kernel.id}`;
    for (const { id } of buffers) key += `,${id}`;
    const known = this.#bindGroups.get(key);
    if (known) return known.group;
    const entries: GPUBindGroupEntry[] = buffers.map(({ buffer }, binding) => ({ binding, resource: { buffer } }));
    if (kernel.uniformBytes > 0) {
      if (!this.#uniformBuffer) throw new DeviceError(`internal: ${kernel.name} has uniforms and no buffer for them`);
      entries.push({ binding: buffers.length, resource: { buffer: this.#uniformBuffer, size: kernel.uniformBytes } });
    }
    const group = this.#gpu.device.createBindGroup({ label: kernel.name, layout: kernel.bindGroupLayout, entries });
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
    this.#bindGroups.set(key, { group, buffers });
    return group;
  }

  /** Bytes of a buffer as everything recorded so far leaves them. Rejects with the first error of the device. */
  async download(storage: BufferStorage, byteOffset: number, bytes: number): Promise<ArrayBuffer> {
    // Copies are of whole words; every buffer is.
    const whole = Math.ceil(bytes / 4) * 4;
    const read: Read = { kind: "read", buffer: storage.place.buffer, byteOffset, bytes: whole, staging: undefined };
    if (!this.#abandoned) this.#entries.push(read);
    try {
      await this.#submitted("read");
      await read.staging?.mapAsync(GPUMapMode.READ);
      // Where it was abandoned or the copy was refused, this throws.
      await this.#gpu.settled();
      if (!read.staging) throw new Error("internal: a read was not submitted");
      return read.staging.getMappedRange().slice(0, bytes);
    } catch (cause) {
      await this.#gpu.settled();
      throw new DeviceError(`reading ${bytes} bytes from ${this.#gpu.info.adapter} failed: ${String(cause)}`);
    } finally {
      read.staging?.destroy();
    }
  }

  /** Drops the bind groups of buffers that are no more. */
  forget(gone: ReadonlySet<DeviceBuffer>): void {
    for (const [key, { buffers }] of this.#bindGroups) {
      if (buffers.some((buffer) => gone.has(buffer))) this.#bindGroups.delete(key);
    }
  }

  /** Drops what is recorded and whatever else comes: of a device that failed or is destroyed nobody sees it any more. */
  abandon(): void {
    this.#abandoned = true;
    this.#entries = [];
  }
}
