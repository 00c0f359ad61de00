/** What `DEPLSR_DEBUG` and `DEPLSR_TRACE` show of a device, on every backend. */
import { onExit, writeText } from "#platform";
import type { MemoryReport } from "../backend.ts";
import { env } from "../env.ts";

/** A stretch of a device's time, in microseconds. */
export interface TimelineEvent {
  readonly name: string;
  readonly start: number;
  readonly duration: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What one launch did, as far as it is known: 0 where it is not. */
export interface LaunchCost {
  /** Read and written at least once. */
  readonly bytes: number;
  readonly flops: number;
}

const timelines: Timeline[] = [];

/** The events of one device. The file that `DEPLSR_TRACE` names gets those of all devices when the process ends. */
export class Timeline {
  readonly events: TimelineEvent[] = [];
  readonly device: string;

  constructor(device: string) {
    this.device = device;
    if (timelines.push(this) === 1) onExit(() => writeText(env().trace!, trace()));
  }
}

/** A device's timeline, where one is asked for. */
export function openTimeline(device: string): Timeline | undefined {
  return env().trace ? new Timeline(device) : undefined;
}

/** All events in the Trace Event Format, which Perfetto opens: a process for each device. */
function trace(): string {
  const traceEvents = timelines.flatMap(({ device, events }, pid) => [
    { name: "process_name", ph: "M", pid, args: { name: device } },
    ...events.map(({ name, start, duration, details }) => {
      return { name, ph: "X", pid, tid: 1, ts: start, dur: duration, args: details };
    }),
  ]);
  return JSON.stringify({ traceEvents });
}

/** Prints a launch: kernel, grid, time, rates and the bytes that tensors hold now. */
export function printLaunch(
  name: string,
  grid: readonly number[],
  microseconds: number,
  { bytes, flops }: LaunchCost,
  liveBytes: number,
): void {
  const parts = [`${name} [${grid.join(", ")}] ${microseconds.toFixed(1)} us`];
  if (bytes > 0) parts.push(`${(bytes / 1e3 / microseconds).toFixed(2)} GB/s`);
  if (flops > 0) parts.push(`${(flops / 1e3 / microseconds).toFixed(2)} GFLOP/s`);
  console.error(`deplsr: ${parts.join(", ")}, ${liveBytes} bytes live`);
}

/** Prints what a device has done and what its memory is at the end. */
export function printMemory(
  done: string,
  { createdBuffers, peakBytes, pooledBytes, liveBuffers, liveBytes }: MemoryReport,
): void {
  console.error(
    `deplsr: ${done}; ${createdBuffers} buffers made, peak ${peakBytes} bytes, ${pooledBytes} bytes pooled; ` +
      `${liveBuffers} buffers with ${liveBytes} bytes were never given back`,
  );
}
