/** The built page on a server of its own, and what a visitor does there. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { encode } from "fast-png";
import type { Locator, Page } from "playwright-core";
import { ISOLATED } from "./harness.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".jpg": "image/jpeg",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** A server of files, as simple hosts are. */
export interface Site {
  readonly url: string;
  /** Files that are answered in place of those of the folder. */
  readonly changed: Map<string, string | Uint8Array>;
  close(): Promise<void>;
}

/** Serves a folder, with headers that hold for everything. */
export async function serveSite(folder: string, headers: Readonly<Record<string, string>> = ISOLATED): Promise<Site> {
  const changed = new Map<string, string | Uint8Array>();
  const server = createServer(async (request, response) => {
    let { pathname: path } = new URL(request.url ?? "/", "http://localhost");
    if (path.endsWith("/")) path += "index.html";
    const body = changed.get(path) ?? (await readFile(join(folder, path)).catch(() => undefined));
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(body === undefined ? 404 : 200, { ...headers, "Content-Type": type }).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    changed,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A file for a file field. */
export interface FileToChoose {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

/** A small photo: soft waves of colour. */
export function wavesPhoto(name = "waves.png", { width = 48, height = 32 } = {}): FileToChoose {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    data[i] = 128 + 100 * Math.sin(x / 5 + channel) * Math.cos(y / 7 - channel);
  }
  return { name, mimeType: "image/png", buffer: Buffer.from(encode({ width, height, data, channels: 3 })) };
}

/** Chooses files by the page's button. */
export async function choose(page: Page, files: readonly FileToChoose[]): Promise<void> {
  await page
    .getByLabel("Photo files")
    .first()
    .setInputFiles([...files]);
}

/** Drops files on the page, or pastes them, as the browser would say it. */
export async function give(page: Page, how: "drop" | "paste", files: readonly FileToChoose[]): Promise<void> {
  const plain = files.map(({ buffer, ...file }) => ({ ...file, base64: buffer.toString("base64") }));
  await page.evaluate(
    ({ how, plain }) => {
      const data = new DataTransfer();
      for (const { name, mimeType, base64 } of plain) {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        data.items.add(new File([bytes], name, { type: mimeType }));
      }
      const common = { bubbles: true, cancelable: true };
      const target = document.querySelector("deplsr-app")!;
      if (how === "paste") target.dispatchEvent(new ClipboardEvent("paste", { ...common, clipboardData: data }));
      else {
        target.dispatchEvent(new DragEvent("dragover", { ...common, dataTransfer: data }));
        target.dispatchEvent(new DragEvent("drop", { ...common, dataTransfer: data }));
      }
    },
    { how, plain },
  );
}

/** What is shown of the chosen photo when it is done. */
export function doneLine(page: Page): Locator {
  return page.getByText(/^Done in /);
}

/** What the page says when the device is known. */
export function deviceLine(page: Page): Locator {
  return page.getByText(/^Works on Web/);
}
