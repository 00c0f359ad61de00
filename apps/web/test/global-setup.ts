/** Builds the page once for all tests: with a page beside it that has a stand-in for the upscaler. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder of the build. */
    readonly built: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = fileURLToPath(new URL("../", import.meta.url));
  const built = await mkdtemp(join(tmpdir(), "deplsr-page-"));
  // Vitest has set it to `test`, which would build what developers see.
  const { NODE_ENV } = process.env;
  process.env.NODE_ENV = "production";
  await build({
    root,
    configFile: join(root, "vite.config.ts"),
    logLevel: "warn",
    build: {
      outDir: built,
      emptyOutDir: true,
      rollupOptions: { input: { "stand-in": join(root, "test/pages/stand-in.html") } },
    },
  });
  process.env.NODE_ENV = NODE_ENV;
  project.provide("built", built);
  return () => rm(built, { recursive: true, force: true });
}
