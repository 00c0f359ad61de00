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

/**
 * Gives libraries that were written for browsers what they look for: `navigator.gpu`, and a user agent, which jax-js reads.
 *
 * @returns the name of the adapter that they will get.
 */
export async function shimNavigator(): Promise<string> {
  const gpu = await openDawn();
  Object.defineProperty(globalThis, "navigator", {
    value: { gpu, userAgent: "Node", hardwareConcurrency: 1 },
    configurable: true,
  });
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
