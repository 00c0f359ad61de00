/** What runs here: for logs, in which a number that cannot be had again is looked for. */
import { createRequire } from "node:module";
import sharp from "sharp";

/** The versions of Node, of this command, and of what computes on a GPU and reads images. */
export function versions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const versionIn = (path: string): string => (require(path) as { version: string }).version;
  return {
    node: process.versions.node,
    deplsr: versionIn("deplsr/package.json"),
    webgpu: versionIn("webgpu/package.json"),
    // It keeps its package.json to itself.
    sharp: sharp.versions.sharp ?? "?",
    libvips: sharp.versions.vips,
  };
}
