import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** What the `webgpu` package (Dawn) exports. */
interface Dawn {
  create(flags: string[]): GPU;
  readonly globals: Record<string, unknown>;
}

// Dawn's instance must stay referenced: one that is collected takes the process down.
let instance: GPU | undefined;

/** Dawn, the same build that ours runs on. Which driver it finds is set by the environment of the process. */
export async function openDawn(): Promise<GPU> {
  if (instance) return instance;
  const entry = createRequire(import.meta.url).resolve("webgpu");
  const dawn = (await import(pathToFileURL(entry).href)) as Dawn;
  Object.assign(globalThis, dawn.globals);
  instance = dawn.create([]);
  return instance;
}

/** Gives libraries that were written for browsers what they look for: a user agent, which jax-js reads, the number of threads, a GPU. */
export function shimNavigator(navigator: { readonly hardwareConcurrency: number; readonly gpu?: GPU }): void {
  Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Node", ...navigator }, configurable: true });
}

/** Gives libraries that were written for browsers a GPU. @returns the name of the adapter that they will get. */
export async function shimGpu(): Promise<string> {
  const gpu = await openDawn();
  shimNavigator({ gpu, hardwareConcurrency: 1 });
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("Dawn finds no adapter");
  const { description, device, vendor, architecture } = adapter.info;
  return description || device || `${vendor} ${architecture}`.trim();
}

const peers = createRequire(new URL("../../peers/package.json", import.meta.url));

/** A peer's module by `import`. */
export async function importPeer(name: string): Promise<unknown> {
  return await import(pathToFileURL(peers.resolve(name)).href);
}

/** A peer's module by `require`, where its ES modules do not load in Node. */
export function requirePeer(name: string): unknown {
  return peers(name);
}

/** The version of a peer that is installed. */
export function versionOf(name: string): string {
  const manifest = (peers(`./package.json`) as { dependencies: Record<string, string> }).dependencies;
  return manifest[name] ?? "unknown version";
}
