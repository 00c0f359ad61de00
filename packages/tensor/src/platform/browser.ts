import type { AdapterChoice, FoundAdapter, ListedAdapter } from "./adapter.ts";
import type { Thread, ThreadStart } from "./thread.ts";

/** Where this code runs. */
export const platform: "node" | "browser" = "browser";

/** A browser has no environment variables: always undefined. */
export function environment(_name: string): string | undefined {
  return undefined;
}

/** Runs `work` when the page goes away. */
export function onExit(work: () => void): void {
  globalThis.addEventListener?.("pagehide", work, { once: true });
}

/** A browser has no files to write to: tells so once on the console. */
export function writeText(file: string, _text: string): void {
  console.warn(`deplsr: ${file} is not written: a browser has no file system`);
}

/**
 * The adapter of the browser. Which one that is, hardware or software, is the browser's decision: `choice` only asks for a software
 * one where it is `system` or `swiftshader`.
 *
 * @throws Error where the browser has no WebGPU, or WebGPU without an adapter.
 */
export async function findAdapter(choice: AdapterChoice): Promise<FoundAdapter> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) {
    throw new Error(
      "no WebGPU here: use a browser that has it (Chrome or Edge 113, Safari 26, Firefox 141 or later) over https or localhost",
    );
  }
  const software = choice === "system" || choice === "swiftshader";
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance", forceFallbackAdapter: software });
  if (!adapter || (choice === "hardware" && adapter.info.isFallbackAdapter)) {
    const wanted = choice === "auto" ? "WebGPU adapter" : `WebGPU adapter of the kind "${choice}"`;
    throw new Error(
      `this browser has no ${wanted}: turn on hardware acceleration in its settings, or see chrome://gpu for the reason`,
    );
  }
  return { gpu, adapter, kind: "browser", reason: "the browser chose it" };
}

/** The one adapter of the browser, with its name or the reason why there is none. */
export async function listAdapters(): Promise<readonly ListedAdapter[]> {
  try {
    const { adapter } = await findAdapter("auto");
    const { description, device, vendor, architecture } = adapter.info;
    const name = description || device || [vendor, architecture].filter(Boolean).join(" ") || "unnamed";
    return [{ kind: "browser", name, available: true, detail: "navigator.gpu" }];
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [{ kind: "browser", name: "navigator.gpu", available: false, detail }];
  }
}

/** Whether a GPU can be here: only the browser knows. */
export function gpuPossible(): boolean {
  return true;
}

/** Cores that the browser tells of. */
export function logicalCores(): number {
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** A browser does not tell how much memory there is. */
export function totalMemory(): number | undefined {
  return undefined;
}

/** True where a thread may sleep until another one wakes it: in workers, not in the page's own thread. */
export function mayBlock(): boolean {
  return typeof document === "undefined";
}

/**
 * Makes it likely that the collector runs, by taking memory that it answers for, and waits until what it found has been told of: there is
 * no way to ask for it.
 */
export async function collectGarbage(): Promise<void> {
  const found = new WeakRef({});
  for (let piece = 0; piece < 16 && found.deref(); piece++) {
    new Uint8Array(64 * 2 ** 20)[0] = piece;
    // What was just looked at stays until the job ends.
    await new Promise((resolve) => setTimeout(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve));
}

/** Browsers that have relaxed SIMD have it on. */
export function enableRelaxedSimd(): void {}

/** Browsers have vectors of 128 bits. */
export function enableWideVectors(): boolean {
  return false;
}

/**
 * Starts a worker. It runs a file of this package, which pages allow that allow this one; where that is of another origin than the page, of which
 * browsers start no workers, it runs `program`: that calls `start` with a function that takes `data`, and a function that takes what is to be
 * done when the worker ends, which a browser's never tells.
 */
export function spawnThread(program: string, data: ThreadStart): Thread {
  const { worker, forget } = isForeign(import.meta.url) ? workerOfText(program) : workerOfPackage();
  const ready = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = ({ message }) => reject(new Error(message || "the page's security policy forbids it"));
  });
  worker.postMessage(data);
  return {
    ready,
    stop: () => {
      worker.terminate();
      forget();
    },
  };
}

/** Whether a file comes from elsewhere than the page. */
function isForeign(url: string): boolean {
  return new URL(url).origin !== globalThis.location.origin;
}

interface Started {
  readonly worker: Worker;
  /** To be called when the worker is not needed any more. */
  readonly forget: () => void;
}

function workerOfPackage(): Started {
  // Bundlers look for exactly these words.
  const worker = new Worker(new URL("../backends/cpu/worker.js", import.meta.url), { type: "module" });
  return { worker, forget: () => {} };
}

function workerOfText(program: string): Started {
  const prelude = "const start = (run) => { onmessage = ({ data }) => { postMessage(0); run(data, () => {}); }; };";
  const url = URL.createObjectURL(new Blob([`${prelude}\n${program}`], { type: "text/javascript" }));
  return { worker: new Worker(url), forget: () => URL.revokeObjectURL(url) };
}
