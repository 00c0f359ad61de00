import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, constants, totalmem } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread, Worker } from "node:worker_threads";
import type { AdapterChoice, FoundAdapter, ListedAdapter } from "./adapter.ts";
import { type SwiftShaderFiles, unpackSwiftShader } from "./swiftshader.ts";
import type { Thread, ThreadStart } from "./thread.ts";

export { gpuPossible } from "./gpu-files.ts";

/** Where this code runs. */
export const platform: "node" | "browser" = "node";

/** An environment variable; one that is empty counts as not set. */
export function environment(name: string): string | undefined {
  return process.env[name] || undefined;
}

/** Runs `work` when the process ends by itself or by `process.exit`. */
export function onExit(work: () => void): void {
  process.once("exit", work);
}

/** Writes a file at once. */
export function writeText(file: string, text: string): void {
  writeFileSync(file, text);
}

/** Cores that this process may use. */
export function logicalCores(): number {
  return availableParallelism();
}

/** Bytes of memory that this process may use: the machine's, or the part of it that a container is given. */
export function totalMemory(): number | undefined {
  // 0 or a huge number where nothing limits it.
  const given = process.constrainedMemory?.() || Infinity;
  return Math.min(totalmem(), given);
}

/** True where a thread may sleep until another one wakes it. */
export function mayBlock(): boolean {
  return true;
}

let collect: (() => void) | undefined;

/** Runs the collector, and waits until what it found has been told of. */
export async function collectGarbage(): Promise<void> {
  if (!collect) {
    // The function exists in contexts that are made while the flag is set.
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
  }
  collect();
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Switches relaxed SIMD on, which Node 20 has behind a flag; later versions have it on. */
export function enableRelaxedSimd(): void {
  if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
}

/** The versions whose V8 was tried with the flag below; one that V8 does not know it complains of on the console. */
const PAIRING = { from: 24, to: 26 };

/**
 * Has V8 make one AVX2 instruction of two that do the same to neighbouring vectors, in code that it optimises from here on. False where
 * this V8 cannot. That the processor has AVX2 is not known here.
 */
export function enableWideVectors(): boolean {
  const { node, bun, deno, electron } = process.versions;
  const version = Number(node.split(".")[0]);
  if (process.arch !== "x64" || bun || deno || electron || version < PAIRING.from || version > PAIRING.to) return false;
  setFlagsFromString("--experimental-wasm-revectorize");
  return true;
}

/**
 * Runs a program in a worker: it calls `start` with a function that takes `data`, and a function that takes what is to be done when the
 * worker ends. The worker does not keep the process alive.
 */
export function spawnThread(program: string, data: ThreadStart): Thread {
  const prelude =
    'const start = (run) => run(require("node:worker_threads").workerData, (end) => process.once("exit", end));';
  const worker = new Worker(`${prelude}\n${program}`, { eval: true, workerData: data, execArgv: [] });
  worker.on("error", (error) => console.error(`deplsr: a worker thread of the CPU backend ended: ${messageOf(error)}`));
  worker.unref();
  return { ready: Promise.resolve(), stop: () => void worker.terminate() };
}

/** What the `webgpu` package exports. */
interface Dawn {
  create(flags: string[]): GPU;
  readonly globals: Record<string, unknown>;
}

type Kind = "hardware" | "system" | "swiftshader";

const VULKAN_LOADER = "libvulkan.so.1";
const DRIVER_FOLDERS = ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
const INSTALL_LAVAPIPE = "Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1";
// `resolvePackage` looks there too, so that it helps a command that npx has put elsewhere.
const INSTALL_SWIFTSHADER = "npm install @sparticuz/chromium@147.0.0 in the current folder";

// Timestamps come rounded to 100 us otherwise, which is longer than most kernels.
const DAWN_FLAGS = ["disable-dawn-features=timestamp_quantization"];

// Dawn's instances are never let go: one that is collected takes the process down with a pthread abort.
const instances = new Map<string, GPU>();

let dawn: Dawn | undefined;
let systemLoader: boolean | undefined;
let swiftShaderLoaded = false;

// One search after another: a search may set VK_DRIVER_FILES for the time that a driver is loaded.
let lastSearch: Promise<unknown> = Promise.resolve();

/**
 * Finds a WebGPU adapter through Dawn (the `webgpu` package). `auto` takes a hardware GPU; where there is none, a software Vulkan driver
 * of the system (lavapipe); where there is none either, the SwiftShader out of `@sparticuz/chromium`.
 *
 * @throws Error that says what was looked for, why it is not to be had, and what to install.
 */
export function findAdapter(choice: AdapterChoice): Promise<FoundAdapter> {
  const search = lastSearch.then(() => find(choice));
  lastSearch = search.catch(() => undefined);
  return search;
}

/** Tries every kind of adapter; the answer says for each which one there is, or why there is none. */
export async function listAdapters(): Promise<readonly ListedAdapter[]> {
  const names: Record<Kind, string> = {
    hardware: "GPU",
    system: "software driver of the system (lavapipe)",
    swiftshader: "SwiftShader (@sparticuz/chromium)",
  };
  const listed: ListedAdapter[] = [];
  for (const kind of ["hardware", "system", "swiftshader"] as const) {
    try {
      const { adapter } = await findAdapter(kind);
      const { vendor, architecture } = adapter.info;
      const detail = [vendor, architecture].filter(Boolean).join(" ") || "no details";
      listed.push({ kind, name: adapterName(adapter), available: true, detail });
    } catch (error) {
      listed.push({ kind, name: names[kind], available: false, detail: messageOf(error) });
    }
  }
  return listed;
}

async function find(choice: AdapterChoice): Promise<FoundAdapter> {
  if (choice !== "auto") return await findKind(choice);
  const missing: string[] = [];
  for (const kind of ["hardware", "system", "swiftshader"] as const) {
    try {
      const found = await findKind(kind);
      if (missing.length === 0) return found;
      const reason =
        kind === "system" ? `${found.reason}, which has no hardware GPU` : `${found.reason} (${missing.join("; ")})`;
      return { ...found, reason };
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing.push(error.message.split("\n", 1)[0] ?? "");
    }
  }
  throw new Error(
    [
      "no WebGPU adapter can be had on this machine:",
      ...missing.map((reason) => `  - ${reason}`),
      `install a Vulkan driver (${INSTALL_LAVAPIPE}) or, on Linux x64, SwiftShader (${INSTALL_SWIFTSHADER})`,
    ].join("\n"),
  );
}

/** A kind of adapter that this machine does not have: `auto` goes on to the next kind. */
class Missing extends Error {}

async function findKind(kind: Kind): Promise<FoundAdapter> {
  const { create } = await loadDawn();
  if (kind === "swiftshader") return await findSwiftShader(create);
  const nothing = kind === "hardware" ? "no hardware GPU" : "no software driver of the system";
  if (!hasSystemLoader() && !(await loadPackagedLoader())) {
    throw new Missing(`${nothing}: the Vulkan loader libvulkan.so.1 is not installed\n${remedyFor(kind)}`);
  }
  const gpu = instanceOf(create, "system");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new Missing(`${nothing}: the system has no Vulkan driver that Dawn can use\n${remedyFor(kind)}`);
  }
  const name = adapterName(adapter);
  if (kind === "hardware") {
    if (isSoftware(adapter)) throw new Missing(`${nothing}: the system only has ${name}\n${remedyFor(kind)}`);
    return { gpu, adapter, kind, reason: "a hardware GPU of this system" };
  }
  const found = isSoftware(adapter) ? { gpu, adapter } : await findBehindHardware(create);
  if (!found) throw new Missing(`${nothing}: the system only has ${name}\n${remedyFor(kind)}`);
  return { ...found, kind, reason: "a software driver of this system" };
}

/**
 * The software driver of a system that has a GPU too. Dawn puts GPUs first and takes `forceFallbackAdapter` to mean SwiftShader only, so
 * the driver has to be asked for by name.
 */
async function findBehindHardware(create: Dawn["create"]): Promise<{ gpu: GPU; adapter: GPUAdapter } | undefined> {
  const gpu = instanceOf(create, "software", [
    `adapter=${process.platform === "win32" ? "Microsoft Basic Render" : "llvmpipe"}`,
  ]);
  // Dawn throws where no adapter has that name.
  const adapter = await gpu.requestAdapter().catch(() => null);
  return adapter && isSoftware(adapter) ? { gpu, adapter } : undefined;
}

/** Dawn's instance for one set of drivers: made once and never let go. */
function instanceOf(create: Dawn["create"], key: string, flags: readonly string[] = []): GPU {
  const gpu = instances.get(key) ?? create([...DAWN_FLAGS, ...flags]);
  instances.set(key, gpu);
  return gpu;
}

async function findSwiftShader(create: Dawn["create"]): Promise<FoundAdapter> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Missing(
      `no SwiftShader: its package is for Linux on x64, and this is ${process.platform} on ${process.arch}`,
    );
  }
  const gpu = instanceOf(create, "swiftshader");
  const adapter = swiftShaderLoaded ? await gpu.requestAdapter() : await loadSwiftShader(gpu);
  if (!adapter || !isSwiftShader(adapter)) {
    // process.env of a worker thread is a copy that the Vulkan loader never sees.
    const why = isMainThread
      ? "its driver offers no adapter"
      : "a worker thread cannot load its driver: ask for a device in the main thread first";
    throw new Missing(`no SwiftShader: ${why}`);
  }
  swiftShaderLoaded = true;
  return { gpu, adapter, kind: "swiftshader", reason: "the software driver out of @sparticuz/chromium" };
}

async function loadSwiftShader(gpu: GPU): Promise<GPUAdapter | null> {
  const files = await unpackFromPackage();
  if (!files)
    throw new Missing(`no SwiftShader: the package @sparticuz/chromium is not installed\n(${INSTALL_SWIFTSHADER})`);
  const { driverFile, loader } = files;
  if (!hasSystemLoader() && !loadsLibrary(loader)) {
    throw new Missing(`no SwiftShader: ${loader} cannot be loaded here (it needs glibc)`);
  }
  // The Vulkan loader reads these when an instance is made, which Dawn does at its first search for an adapter.
  const names = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] as const;
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = driverFile;
  try {
    return await gpu.requestAdapter();
  } finally {
    names.forEach((name, index) => {
      const value = before[index];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    });
  }
}

/** Asked once, because the loader out of the package answers to the same name when it is loaded. Only Linux needs one. */
function hasSystemLoader(): boolean {
  systemLoader ??= process.platform !== "linux" || loadsLibrary(VULKAN_LOADER);
  return systemLoader;
}

/** A container may have the driver of a GPU and no Vulkan loader: then the one that comes with SwiftShader serves it. */
async function loadPackagedLoader(): Promise<boolean> {
  const named = process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES;
  if (!named && !DRIVER_FOLDERS.some((folder) => existsSync(folder) && readdirSync(folder).length > 0)) return false;
  const files = await unpackFromPackage();
  return files !== undefined && loadsLibrary(files.loader);
}

async function unpackFromPackage(): Promise<SwiftShaderFiles | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const entry = resolvePackage("@sparticuz/chromium");
  return entry ? await unpackSwiftShader(entry) : undefined;
}

/**
 * Loads a shared library into the whole process and tells whether that worked. Dawn looks for `libvulkan.so.1` by that name, and finds one
 * that is loaded already wherever it lies. Node refuses what is not an addon, but only after the system has loaded it; without NODELETE it
 * would be unloaded again.
 */
function loadsLibrary(path: string): boolean {
  const RTLD_NODELETE = 0x1000;
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
    return true;
  } catch (error) {
    return messageOf(error).includes("did not self-register");
  }
}

async function loadDawn(): Promise<Dawn> {
  if (dawn) return dawn;
  const entry = resolvePackage("webgpu");
  if (!entry) {
    throw new Error(`no WebGPU in Node: the package webgpu is not installed\nnpm install webgpu@0.6.2`);
  }
  let loaded: Dawn;
  try {
    loaded = (await import(pathToFileURL(entry).href)) as Dawn;
  } catch (error) {
    throw new Error(`the package webgpu does not load on ${process.platform} ${process.arch}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  // GPUBufferUsage and its like are globals in browsers.
  for (const [name, value] of Object.entries(loaded.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  dawn = loaded;
  return loaded;
}

/** The main file of an installed package as this module sees it, else the current folder, else the running script. */
function resolvePackage(name: string): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), "package.json"), process.argv[1]]) {
    if (!from) continue;
    try {
      return createRequire(from).resolve(name);
    } catch {
      // Not to be seen from there.
    }
  }
  return undefined;
}

function isSoftware(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter || /llvmpipe|swiftshader|basic render/i.test(adapterName(adapter));
}

function isSwiftShader(adapter: GPUAdapter): boolean {
  return /swiftshader/i.test(`${adapter.info.architecture} ${adapterName(adapter)}`);
}

function adapterName(adapter: GPUAdapter): string {
  const { description, device, vendor, architecture } = adapter.info;
  return description || device || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
}

function remedyFor(kind: "hardware" | "system"): string {
  if (process.platform !== "linux") return "update the graphics driver";
  return kind === "hardware"
    ? "install the Vulkan driver of your GPU (mesa-vulkan-drivers, or NVIDIA's), and libvulkan1"
    : INSTALL_LAVAPIPE;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
