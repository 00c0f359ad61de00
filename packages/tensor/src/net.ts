/**
 * The net under everything outside of scopes: what the collector finds gives its memory back. It sees JavaScript's objects, not the
 * device's memory, and would let that fill up: so it is asked to look when much has been taken since it last did.
 */
import { collectGarbage } from "#platform";
import type { Backend } from "./backend.ts";

/** What a tensor holds, as far as the net sees it. */
interface Catch {
  value: { readonly backend: Backend; readonly ownBytes: number; release(): void } | undefined;
  /** Its owner disposes it: it is no leak while it lives. */
  kept: boolean;
}

const MIB = 2 ** 20;
/** Tensors that wait for the end of the job before the net takes them. */
const MOST_WAITING = 1024;
const MOST_WAITING_BYTES = 64 * MIB;
/** Bytes held before the collector is asked for the first time, and those that have to come on top of what it left. */
const LEAST_GROWTH = 128 * MIB;
const MOST_GROWTH = 512 * MIB;
/** Bytes that tensors outside of scopes may take in one job before that is said; a quarter of the memory where its size is known. */
const MUCH_IN_ONE_JOB = 1024 * MIB;
/** A few large ones are data; a loop makes many. */
const MANY_IN_ONE_JOB = 32;

const registry = new FinalizationRegistry<Catch>((caught) => {
  registered--;
  caught.value?.release();
  caught.value = undefined;
});
let registered = 0;

/**
 * Tensors that the net takes when the current job ends: to register one costs the collector more than a small op does,
 * most are disposed by then, and the net gives nothing back before that.
 */
const waiting: (readonly [{ readonly saved: boolean }, Catch])[] = [];
let waitingBytes = 0;
let jobBytes = 0;
let jobTensors = 0;
let warned = false;

/** Gives back what `holder` holds once nobody holds `tensor` any more. One that is `saved` is its graph's, which gives it back. */
export function catchForgotten(tensor: { readonly saved: boolean }, holder: Catch): void {
  const count = waiting.push([tensor, holder]);
  waitingBytes += holder.value?.ownBytes ?? 0;
  if (count === 1) queueMicrotask(endJob);
  if (count === MOST_WAITING || waitingBytes > MOST_WAITING_BYTES) register();
}

function endJob(): void {
  register();
  jobBytes = 0;
  jobTensors = 0;
}

function register(): void {
  for (const [tensor, holder] of waiting.splice(0)) {
    if (!holder.value) continue;
    registered++;
    registry.register(tensor, holder);
    if (holder.kept || tensor.saved) continue;
    jobBytes += holder.value.ownBytes;
    jobTensors++;
    if (!warned && jobTensors >= MANY_IN_ONE_JOB && jobBytes > muchFor(holder.value.backend)) warnOnce();
  }
  waitingBytes = 0;
}

function muchFor(backend: Backend): number {
  const whole = backend.info.limits.memoryBytes;
  return whole === undefined ? MUCH_IN_ONE_JOB : Math.min(MUCH_IN_ONE_JOB, whole / 4);
}

function warnOnce(): void {
  warned = true;
  console.warn(
    `deplsr: tensors made outside of any scope hold ${Math.round(jobBytes / MIB)} MiB, and nothing has been awaited since: their memory ` +
      "cannot come back before that. Put each step into scope(() => …), or dispose of what is not needed",
  );
}

const thresholds = new WeakMap<Backend, number>();

/** Called where a program waits anyway: lets the collector look for forgotten tensors when the device's memory has grown by much. */
export async function reclaim(backend: Backend): Promise<void> {
  if (registered === 0 && waiting.length === 0) return;
  const { liveBytes } = backend.memory();
  if (liveBytes < (thresholds.get(backend) ?? LEAST_GROWTH)) return;
  register();
  await collectGarbage();
  const left = backend.memory().liveBytes;
  thresholds.set(backend, left + Math.min(MOST_GROWTH, Math.max(LEAST_GROWTH, left / 2)));
}
