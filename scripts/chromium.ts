/**
 * Runs sources in a page of headless Chromium, for tests and for `npm run parity`. The Chromium is the one inside of
 * `@sparticuz/chromium` (Linux on x64); its WebGPU adapter is SwiftShader.
 */
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { chromium, type Page } from "playwright-core";
import { build, defaultClientConditions, type Plugin, type Rollup } from "vite";
import { tarEntries, unpackOnce } from "../packages/tensor/src/platform/archive.ts";

/** The headers of a page that may share memory, which more than one thread asks for. */
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
} as const;

/** What a page is made of. */
export interface PageOptions {
  /** Path of the module that it runs. */
  readonly entry: string;
  /** Headers that it is served with. */
  readonly headers: Readonly<Record<string, string>>;
  /** Answers what the page fetches; undefined is a 404. */
  readonly file?: (path: string) => Promise<Uint8Array | undefined>;
}

/**
 * Opens a page, gives it to `work`, and shuts everything down again: when `work` is done, when it or the page fails, and when the
 * process is interrupted.
 *
 * @throws Error where the sources cannot be bundled or Chromium does not start, and the page's own uncaught error
 */
export async function withPage<T>(options: PageOptions, work: (page: Page) => Promise<T>): Promise<T> {
  const code = await bundle(options.entry);
  const server = createServer(answer(code, options)).listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    const { executablePath, env } = await unpackChromium();
    const args = ["--no-sandbox", "--enable-unsafe-webgpu"];
    const browser = await chromium.launch({ executablePath, env, args }).catch((error: Error) => {
      // All of its log otherwise.
      const reason = /\[err\] (.+)/.exec(error.message)?.[1] ?? error.message.split("\n", 1)[0];
      throw new Error(`Chromium does not start: ${reason}`);
    });
    try {
      const page = await browser.newPage();
      const failure = new Promise<never>((_, reject) => {
        page.on("pageerror", reject);
        page.on("crash", () => reject(new Error("the page crashed: it may have run out of memory")));
        browser.on("disconnected", () => reject(new Error("Chromium was ended from outside")));
      });
      const opened = page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
      return await Promise.race([failure, opened.then(() => work(page))]);
    } finally {
      await browser.close();
    }
  } finally {
    server.close();
  }
}

/** The sources as a browser loads them, by path. */
async function bundle(entry: string): Promise<ReadonlyMap<string, string>> {
  const result = await build({
    configFile: false,
    logLevel: "silent",
    plugins: [WITHOUT_NODE],
    resolve: { conditions: ["@deplsr/source", ...defaultClientConditions] },
    build: {
      write: false,
      target: "es2022",
      modulePreload: false,
      rollupOptions: { input: entry, output: { entryFileNames: "main.js" } },
    },
  });
  // `build` answers with a list or a watcher where it is told to.
  const { output } = result as Rollup.RollupOutput;
  // Files of workers come as assets.
  return new Map(output.map((file) => [`/${file.fileName}`, textOf(file.type === "chunk" ? file.code : file.source)]));
}

function textOf(code: string | Uint8Array): string {
  return typeof code === "string" ? code : new TextDecoder().decode(code);
}

/** Vite would put an empty module in the place of Node's, which fails late and elsewhere. */
const WITHOUT_NODE: Plugin = {
  name: "without-node",
  enforce: "pre",
  resolveId(id, importer) {
    if (id.startsWith("node:")) throw new Error(`${importer} imports ${id}, which a page does not have`);
  },
};

const PAGE =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>';

function answer(code: ReadonlyMap<string, string>, { headers, file }: PageOptions): RequestListener {
  return async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const script = code.get(path);
    const body = path === "/" ? PAGE : (script ?? (await file?.(path).catch(() => undefined)));
    const type = path === "/" ? "text/html" : script === undefined ? "application/octet-stream" : "text/javascript";
    response.writeHead(body === undefined ? 404 : 200, { ...headers, "Content-Type": type }).end(body);
  };
}

/** Chromium, with the libraries that not every system has. */
export async function unpackChromium(): Promise<{ executablePath: string; env: Record<string, string | undefined> }> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`no Chromium: its package is for Linux on x64, and this is ${process.platform} on ${process.arch}`);
  }
  const folder = await unpackOnce({
    entry: createRequire(import.meta.url).resolve("@sparticuz/chromium"),
    name: "chromium",
    files: ["chromium", "libvk_swiftshader.so", "vk_swiftshader_icd.json", "lib/libnss3.so"],
    write: async (fresh, _, archive) => {
      await mkdir(join(fresh, "lib"));
      await writeFile(join(fresh, "chromium"), await archive("chromium.br"), { mode: 0o755 });
      for (const [name, into] of [
        ["swiftshader.tar.br", fresh],
        ["al2023.tar.br", join(fresh, "lib")],
      ] as const) {
        for (const [file, bytes] of tarEntries(await archive(name))) await writeFile(join(into, file), bytes);
      }
    },
  });
  return {
    executablePath: join(folder, "chromium"),
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, "lib") },
  };
}
