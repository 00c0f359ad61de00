/** The build of the upscaler in a page of headless Chromium, for tests. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { unpackChromium } from "../../../scripts/chromium.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".jpg": "image/jpeg",
  ".png": "image/png",
};

/** Builds a page that runs a module, with the configuration of the app. */
export async function buildPage(entry: string, outDir: string): Promise<void> {
  await build({
    root,
    configFile: join(root, "vite.config.ts"),
    logLevel: "warn",
    build: {
      outDir,
      emptyOutDir: true,
      rollupOptions: { input: { main: entry }, output: { entryFileNames: "[name].js" } },
    },
  });
}

/** Headers of a page that may share memory. */
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
} as const;

/** A server of files that answers with headers. */
export async function serve(
  folder: string,
  headers: () => Readonly<Record<string, string>>,
): Promise<{ readonly url: string; readonly close: () => void }> {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const page = '<!doctype html><meta charset="utf-8"><script type="module" src="/main.js"></script>';
    const body = path === "/" ? page : await readFile(join(folder, path)).catch(() => undefined);
    const type = path === "/" ? "text/html" : (TYPES[extname(path)] ?? "application/octet-stream");
    response.writeHead(body === undefined ? 404 : 200, { ...headers(), "Content-Type": type }).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

/** Starts Chromium, by default with an adapter for WebGPU, a software one. */
export async function openBrowser({ webgpu = true } = {}): Promise<Browser> {
  const { executablePath, env } = await unpackChromium();
  const args = ["--no-sandbox", ...(webgpu ? ["--enable-unsafe-webgpu"] : [])];
  return chromium.launch({ executablePath, env, args });
}

/** Errors of a page, for messages. */
export function watched(page: Page): Page {
  page.on("console", (message) => console.log(`page: ${message.text()}`));
  page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  return page;
}
