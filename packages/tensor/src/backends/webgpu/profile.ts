import { env } from "../../env.ts";
import { openTimeline, printLaunch, type Timeline } from "../timeline.ts";

interface Sample {
  readonly name: string;
  readonly grid: readonly [number, number, number];
  /** Of all operands, as allocated: what the launch reads and writes at least once. */
  readonly bytes: number;
  /** That tensors held when it was submitted. */
  readonly liveBytes: number;
}

interface Batch {
  readonly samples: readonly Sample[];
  readonly readback: GPUBuffer;
}

/** Queries that one set holds; a submission with more launches leaves the rest untimed. */
const CAPACITY = 4096;

/**
 * Times launches by timestamp queries, one compute pass each. `DEPLSR_DEBUG=2` prints a line a launch, `DEPLSR_TRACE=file`
 * collects them for a trace viewer.
 */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #querySet: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #samples: Sample[] = [];
  #batches: Batch[] = [];
  readonly #timeline: Timeline | undefined;
  readonly #liveBytes: () => number;
  /** From the device's clock to the host's, roughly. */
  #offset: number | undefined;

  /** @param liveBytes what tensors hold now */
  constructor(device: GPUDevice, adapter: string, liveBytes: () => number) {
    this.#device = device;
    this.#timeline = openTimeline(adapter);
    this.#liveBytes = liveBytes;
    this.#querySet = device.createQuerySet({ type: "timestamp", count: CAPACITY });
    this.#resolved = device.createBuffer({
      size: CAPACITY * 8,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** The descriptor of the pass that one launch runs in. */
  pass(name: string, grid: readonly [number, number, number], bytes: number): GPUComputePassDescriptor {
    const first = this.#samples.length * 2;
    if (first + 2 > CAPACITY) return { label: name };
    this.#samples.push({ name, grid, bytes, liveBytes: this.#liveBytes() });
    return {
      label: name,
      timestampWrites: { querySet: this.#querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 },
    };
  }

  /** Appends the commands that bring the times of this submission back. */
  resolve(encoder: GPUCommandEncoder): void {
    if (this.#samples.length === 0) return;
    const bytes = this.#samples.length * 16;
    const readback = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.resolveQuerySet(this.#querySet, 0, this.#samples.length * 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, readback, 0, bytes);
    this.#batches.push({ samples: this.#samples, readback });
    this.#samples = [];
  }

  /** Reads what has been submitted, as it completes. */
  collect(): void {
    // What a device does not give back because it goes away is not in the profile.
    for (const batch of this.#batches.splice(0)) this.#read(batch).catch(() => {});
  }

  async #read({ samples, readback }: Batch): Promise<void> {
    await readback.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(readback.getMappedRange());
    samples.forEach(({ name, grid, bytes, liveBytes }, i) => {
      const start = Number(times[2 * i]!) / 1000;
      const duration = Number(times[2 * i + 1]! - times[2 * i]!) / 1000;
      this.#offset ??= 1000 * performance.now() - start;
      this.#timeline?.events.push({ name, start: start + this.#offset, duration, details: { grid, bytes } });
      if (env().debug >= 2) printLaunch(name, grid, duration, { bytes, flops: 0 }, liveBytes);
    });
    readback.destroy();
  }
}
