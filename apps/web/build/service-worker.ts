/** Builds the service worker after everything else: it holds the list of all files, and a name of their contents. */
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin, type Rollup } from "vite";
import { pagePolicy } from "./worker-policy.ts";

/** What is not stored for offline use: what other pages use, and what nobody asks for. */
const LEFT_OUT = /(^|\/)\.|^types\/|^embed|^assets\/(embed|fawn|upscaler-element)-|^deplsr\.js$|^sw\.js$|\.map$/;

/** `sw.js` beside the page. */
export function serviceWorker(): Plugin {
  let outDir = "dist";
  return {
    name: "service-worker",
    apply: "build",
    configResolved(config) {
      outDir = join(config.root, config.build.outDir);
      if (config.build.outDir.startsWith(sep)) outDir = config.build.outDir;
    },
    async closeBundle() {
      const files = await filesOf(outDir);
      const hash = createHash("sha256");
      for (const file of files) hash.update(file).update(await readFile(join(outDir, file)));
      await writeFile(join(outDir, "sw.js"), await bundle(files, hash.digest("hex").slice(0, 16)));
    },
  };
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/"))
    .filter((file) => !LEFT_OUT.test(file))
    .sort();
}

/** One file that imports none: not every browser has modules in service workers. */
async function bundle(files: readonly string[], version: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "warn",
    define: {
      FILES: JSON.stringify(files),
      VERSION: JSON.stringify(version),
      POLICY: JSON.stringify(await pagePolicy()),
    },
    build: {
      write: false,
      target: "es2022",
      rollupOptions: {
        input: fileURLToPath(new URL("../src/page/service-worker.ts", import.meta.url)),
        output: { format: "iife" },
      },
    },
  });
  // `build` answers with a list or a watcher where it is told to.
  return (result as Rollup.RollupOutput).output[0].code;
}
