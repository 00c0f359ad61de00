/** What a browser's worker of the CPU backend runs: a file of its own, so that a page needs to allow no other source of code. */
import type { ThreadStart } from "../../platform/thread.ts";
import { createRunner, type MemoryMap } from "./runner.ts";

globalThis.onmessage = ({ data }: MessageEvent<ThreadStart>): void => {
  const { memory, map, thread } = data;
  globalThis.postMessage(0);
  createRunner(memory, map as MemoryMap, thread, true).serve();
};
