import type { MemoryMap } from "./runner.ts";

/*
 * What lies at fixed places at the beginning of the memory.
 */

/** Threads at most. */
export const MAX_THREADS = 256;
export const MAX_KERNELS = 4096;
/** Launches that one batch holds; its arguments have a fixed place each. */
export const BATCH = 96;
export const ARGUMENTS = 32768;
export const ARGUMENT_BYTES = 1024;
const KERNELS = 131072;
/** Room for a pair of vectors for each thread, so far apart that threads do not share a cache line. */
export const PAIRS = KERNELS + 16 * MAX_KERNELS;
export const PAIR_STRIDE = 128;
/** Code of all kernels. */
export const CODE = PAIRS + PAIR_STRIDE * MAX_THREADS;
export const CODE_END = 8 * 2 ** 20;

/** Where the scheduler finds its things. */
export const MAP: MemoryMap = {
  epoch: 1024,
  stop: 1088,
  failed: 1092,
  pages: 1096,
  reason: 2048,
  groups: 4096,
  entries: 16384,
  kernels: KERNELS,
  end: PAIRS,
};
