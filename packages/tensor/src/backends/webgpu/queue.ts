import { env } from "../../env.ts";
import { DeviceError } from "../../errors.ts";
import { compiled, compiles } from "./compiling.ts";
import { giveUp, labelOf, type Read, unspread, type Work, WorkEncoder } from "./encoder.ts";
import type { BufferStorage, Compiled, DeviceBuffer, Driver, Uniforms } from "./gpu.ts";
import { type HostCall, hostCall, messageOf } from "./host-call.ts";
import type { Launch } from "./launch.ts";
import type { Profiler } from "./profile.ts";
import type { RecordedTape } from "./recorded-tape.ts";

interface Upload {
  readonly kind: "upload";
  readonly storage: BufferStorage;
  readonly bytes: Uint8Array;
}

/** What can be handed to the driver. */
type Handed = Work | Upload;
type Entry = Handed | HostCall;

/** Who wants the list submitted. */
type Asker = "sync" | "read" | "background";

/** Recorded launches after which they are handed to the device without being asked. */
const BACKGROUND_FLUSH = 96;

/**
 * The launch list. Ops append to it; a flush waits for pipelines that still compile, encodes the list in order, several
 * launches to a pass, and submits. Uploads and reads are entries of the same list: `writeBuffer` would overtake what is recorded
 * but not submitted, and a read gives what was recorded before it, whatever is written next. A host call is one too: what is behind it
 * stays in the list until JavaScript has answered, and the answer takes its place as an upload.
 *
 * What cannot run is mostly known when it is encoded, and left out. What the driver finds invalid besides, it says after it was submitted:
 * then nothing ran of what was encoded together, and `#refused` finds out which part of it was to blame.
 */
export class LaunchQueue {
  readonly #gpu: Driver;
  readonly #profiler: Profiler | undefined;
  readonly #encoder: WorkEncoder;
  /** What is recorded is written down here too. */
  tape: RecordedTape | undefined;
  #entries: Entry[] = [];
  #running: Promise<void> = Promise.resolve();
  #scheduled = false;
  /** There is a replay among what is recorded. */
  #replays = false;
  #busy = false;
  #abandoned = false;
  #launches = 0;
  /** At the last flush that was told of. */
  #launchesBefore = 0;
  /** Submitted, in order, and the driver has not said yet whether it is valid; with what settles when it has. */
  readonly #unjudged = new Map<readonly Work[], Promise<void>>();
  #lastHanded: readonly Work[] | Upload | undefined;
  /** Refused submissions that are looked into. Nothing is submitted meanwhile. */
  #refusals = 0;
  #lookedInto: Promise<void> = Promise.resolve();

  constructor(gpu: Driver, profiler: Profiler | undefined) {
    this.#gpu = gpu;
    this.#profiler = profiler;
    this.#encoder = new WorkEncoder(gpu, profiler);
  }

  /** Launches recorded since the device was made. */
  get launches(): number {
    return this.#launches;
  }

  launch(
    kernel: Compiled,
    operands: readonly BufferStorage[],
    uniforms: Uniforms,
    grid: readonly [number, number, number],
    later?: () => Uniforms,
  ): void {
    if (this.#abandoned) return;
    this.#launches++;
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
    const launch: Launch = {
      kind: "launch",
      kernel,
      operands,
      uniforms,
      later,
      grid,
      encoded: false,
      error: undefined,
      marked: undefined,
    };
    this.#entries.push(launch);
    this.tape?.entries.push(launch);
    // A replay is many launches, and what comes after it are copies of its results.
    if (this.#replays || this.#entries.length >= BACKGROUND_FLUSH) this.#background();
  }

  upload(storage: BufferStorage, bytes: Uint8Array): void {
    if (this.#abandoned) return;
    this.#entries.push({ kind: "upload", storage: storage.recorded(), bytes });
  }

  /** Has JavaScript make `out` of what a storage holds at this place in the list. */
  host(storage: BufferStorage, bytes: number, out: BufferStorage, work: HostCall["work"]): void {
    if (this.#abandoned) return;
    this.#entries.push(hostCall(storage, bytes, out, work));
    // Others may wait for the answer.
    this.#background();
  }

  /** Runs a tape again, with the uniforms of this moment, in a submission of its own as far as that goes. */
  replay(tape: RecordedTape, inputs: readonly BufferStorage[], outputs: readonly BufferStorage[]): void {
    if (this.#abandoned) return;
    this.#launches += tape.entries.length;
    this.#entries.push({
      kind: "replay",
      tape,
      operands: [...inputs, ...outputs].map((storage) => storage.recorded()),
      inputs: inputs.length,
      changes: tape.changes(),
      encoded: false,
      error: undefined,
      marked: undefined,
    });
    this.#replays = true;
  }

  /** Submits what is recorded, now if nothing has to be awaited before. */
  start(): void {
    if (this.#entries.length > 0) this.#background();
  }

  /** Submits at once when every pipeline is there and no flush is under way; else as soon as that is so. */
  #background(): void {
    if (this.#scheduled) return;
    if (!this.#busy && this.#refusals === 0 && !this.#gpu.allocating && !this.#entries.some(compiles)) {
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
    // Those of later are not waited for.
    const calls = this.#entries.filter((entry) => entry.kind === "host");
    const run = this.#running.then(async () => {
      await this.#drain(calls);
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

  async #drain(calls: readonly HostCall[]): Promise<void> {
    this.#busy = true;
    try {
      await this.#submitCompiled();
      for (const { over } of calls) {
        await over;
        await this.#submitCompiled();
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Submits what is recorded, as far as the first host call. */
  async #submitCompiled(): Promise<void> {
    await compiled(this.#entries);
    do {
      while (this.#refusals > 0) await this.#lookedInto;
      // What the device has no memory for is left out, and does not take with it what is submitted together with it.
      await this.#gpu.allocating;
    } while (this.#refusals > 0);
    this.#submit();
  }

  #submit(): void {
    const entries = this.#entries;
    if (entries.length === 0 || this.#refusals > 0) return;
    // A launch recorded while pipelines were awaited may need one that is still compiling: it waits for the next turn.
    const handed: Handed[] = [];
    for (const entry of entries) {
      if (entry.kind === "host" || compiles(entry)) break;
      handed.push(entry);
    }
    const next = entries[handed.length];
    this.#entries = entries.slice(handed.length);
    const begins = next?.kind === "host" && !next.begun ? next : undefined;
    if (begins) {
      begins.begun = true;
      handed.push(begins.read);
    }
    if (handed.length === 0) return;
    this.#replays = false;
    this.#gpu.guarded(() => this.#hand(handed));
    if (begins) void this.#answer(begins);
    else if (next && next.kind !== "host") this.#background();
  }

  /** Has JavaScript answer a call whose input is on its way, and goes on. */
  async #answer(call: HostCall): Promise<void> {
    const { read, out } = call;
    const answer: Upload[] = [];
    try {
      const bytes = (await this.#arrived(read)).slice(0);
      answer.push({ kind: "upload", storage: out, bytes: await call.work(bytes) });
    } catch (cause) {
      // Nothing behind it has run.
      if (!this.#abandoned) out.failure = read.error ?? this.#gpu.blame(out.label, messageOf(cause));
    } finally {
      read.staging?.destroy();
      if (!this.#abandoned) this.#entries.splice(this.#entries.indexOf(call), 1, ...answer);
      call.end();
    }
    this.start();
  }

  /** Hands these to the driver: what lies between uploads as one. */
  #hand(entries: readonly Handed[]): void {
    // With an eye on errors each launch by itself: then nothing but what is invalid is refused.
    const most = env().debug >= 1 && !this.#profiler ? 1 : entries.length;
    let work: Work[] = [];
    for (const entry of entries) {
      // What changes in the uniforms of a tape is written when it is encoded: its last run has to be with the driver by then.
      const changes = entry.kind === "replay" && entry.changes.length > 0;
      if (entry.kind === "upload" || changes || work.length === most) {
        this.#handWork(work);
        work = [];
      }
      if (entry.kind === "upload") this.#write(entry);
      else work.push(entry);
    }
    this.#handWork(work);
  }

  #write(upload: Upload): void {
    const { storage, bytes } = upload;
    this.#lastHanded = upload;
    const { buffer, window, refused } = storage.recordedPlace;
    if (refused) return;
    this.#gpu.device.queue.writeBuffer(buffer, window?.offset ?? 0, bytes as Uint8Array<ArrayBuffer>);
    storage.failure = undefined;
  }

  #handWork(work: readonly Work[]): void {
    if (work.length === 0) return;
    const judged = this.#gpu.judged(
      () => this.#encoder.submit(work),
      (invalid) => {
        if (invalid !== undefined) return this.#refused(work, invalid);
        this.#unjudged.delete(work);
        return undefined;
      },
    );
    this.#unjudged.set(work, judged);
    this.#lastHanded = work;
  }

  /**
   * The driver refuses what was encoded together, and nothing of it ran. Each part is encoded once more, by itself and not to run, which
   * tells those that are invalid; the others go back to the head of the list. Unless more was handed over before the driver said so: that
   * may have written what these were to read, or are to write. Then these fail too, and all that read them.
   */
  async #refused(work: readonly Work[], invalid: string): Promise<void> {
    const last = this.#lastHanded === work;
    const submitted = [...this.#unjudged.keys()];
    const since = submitted.slice(submitted.indexOf(work) + 1).flat();
    const before = this.#lookedInto;
    this.#refusals++;
    this.#lookedInto = (async () => {
      await before;
      try {
        const errors = await this.#blame(work, invalid);
        unspread([...work, ...since]);
        for (const [entry, error] of errors) entry.error = error;
        if (!last) giveUp(work, since, (label, why) => this.#gpu.blame(label, why));
      } finally {
        this.#unjudged.delete(work);
        this.#refusals--;
      }
    })();
    await this.#lookedInto;
    if (!last || this.#abandoned) return;
    this.#entries = [...work, ...this.#entries];
    this.#submit();
    await Promise.all(this.#unjudged.values());
  }

  /** Finds what is invalid by itself; where nothing is, all of it has to be. */
  async #blame(work: readonly Work[], invalid: string): Promise<Map<Work, DeviceError>> {
    const { adapter } = this.#gpu.info;
    const errors = new Map<Work, DeviceError>();
    const blame = (entry: Work, problem: string): void =>
      void errors.set(entry, this.#gpu.blame(labelOf(entry), problem));
    const encoded = work.filter((entry) => (entry.kind === "read" ? entry.staging : entry.encoded));
    this.#encoder.forgetAll();
    const probes = encoded.map((entry) =>
      this.#gpu.judged(
        () => this.#encoder.probe(entry),
        (reason) => {
          if (reason === undefined) return;
          const what =
            entry.kind === "read" ? "reading it" : entry.kind === "replay" ? "the tape" : `kernel ${entry.kernel.name}`;
          blame(entry, `${what} is not valid on ${adapter}: ${reason}`);
        },
      ),
    );
    await Promise.all(probes);
    if (errors.size > 0) return errors;
    const together = `is one of ${encoded.length} submitted together, which are not valid on ${adapter}: ${invalid}`;
    for (const entry of encoded) blame(entry, together);
    return errors;
  }

  /** Bytes of a buffer as everything recorded so far leaves them. Rejects with the first error of the device, or why there are none. */
  async download(storage: BufferStorage, byteOffset: number, bytes: number): Promise<ArrayBuffer> {
    // Copies are of whole words; every buffer is.
    const whole = Math.ceil(bytes / 4) * 4;
    const read: Read = {
      kind: "read",
      storage: storage.recorded(),
      byteOffset,
      bytes: whole,
      staging: undefined,
      error: undefined,
    };
    if (!this.#abandoned) this.#entries.push(read);
    try {
      await this.#submitted("read");
      return (await this.#arrived(read)).slice(0, bytes);
    } catch (cause) {
      await this.#gpu.settled();
      if (!read.error)
        throw new DeviceError(`reading ${bytes} bytes from ${this.#gpu.info.adapter} failed: ${String(cause)}`);
      this.#gpu.told(read.error);
      throw read.error;
    } finally {
      read.staging?.destroy();
    }
  }

  /** The bytes, once they are there. */
  async #arrived(read: Read): Promise<ArrayBuffer> {
    for (;;) {
      const { staging } = read;
      await staging?.mapAsync(GPUMapMode.READ);
      // Where it was abandoned, this throws.
      await this.#gpu.settled();
      if (read.error) throw read.error;
      if (!staging) throw new Error("internal: a read was not submitted");
      if (read.staging === staging) return staging.getMappedRange();
      // It was refused together with something else, and submitted once more.
      staging.destroy();
    }
  }

  /** Drops the bind groups of buffers that are no more. */
  forget(gone: ReadonlySet<DeviceBuffer>): void {
    this.#encoder.forget(gone);
  }

  /** Drops what is recorded and whatever else comes: of a device that failed or is destroyed nobody sees it any more. */
  abandon(): void {
    this.#abandoned = true;
    for (const entry of this.#entries) if (entry.kind === "host") entry.end();
    this.#entries = [];
  }
}
