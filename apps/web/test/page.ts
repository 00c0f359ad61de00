/** What tests call in the page. */
import type { ResultFormat, SeenDegradation, Upscaler, UpscalerOptions } from "../src/client/api.ts";
import { openUpscaler } from "../src/client/upscaler.ts";

type Backend = NonNullable<UpscalerOptions["backend"]>;

/** What is enlarged; files are base64. */
export interface PageTask {
  readonly file: string;
  readonly name: string;
  readonly backend: Backend;
  readonly format: ResultFormat;
  readonly tile?: number;
  /** Tiles after which the worker's GPU is lost. */
  readonly loseAfter?: number;
}

/** What came of it. */
export interface PageResult {
  readonly file: string;
  readonly tiles: number;
  /** Why other devices took over. */
  readonly devices: readonly string[];
}

const blobOf = (base64: string): Blob => new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);

async function base64Of(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return btoa(text);
}

const devices: string[] = [];
const upscalers = new Map<Backend, Promise<Upscaler>>();

function upscalerOn(backend: Backend): Promise<Upscaler> {
  const open = upscalers.get(backend) ?? openUpscaler({ backend, onDevice: ({ reason }) => devices.push(`${reason}`) });
  upscalers.set(backend, open);
  return open;
}

const CALLS = {
  async enlarge({ file, name, backend, format, tile, loseAfter }: PageTask): Promise<PageResult> {
    devices.length = 0;
    const upscaler = await upscalerOn(backend);
    const photo = await upscaler.read(blobOf(file), { name });
    let tiles = 0;
    const result = await photo.enlarge(tile === undefined ? {} : { tile }, {
      onTile: ({ bitmap }) => bitmap.close(),
      onProgress: (done) => {
        tiles = done;
        if (done === loseAfter) new BroadcastChannel("lose").postMessage(0);
      },
    });
    const blob = await result.encode(format);
    result.close();
    photo.close();
    return { file: await base64Of(blob), tiles, devices: [...devices] };
  },

  async diagnose({ file, backend }: { file: string; backend: Backend }): Promise<readonly SeenDegradation[]> {
    const photo = await (await upscalerOn(backend)).read(blobOf(file));
    return photo.diagnose();
  },

  async refused({ file, backend }: { file: string; backend: Backend }): Promise<string> {
    const upscaler = await upscalerOn(backend);
    return upscaler.read(blobOf(file)).then(
      () => "read",
      (error: Error) => error.message,
    );
  },

  async abortAndGoOn({ file, backend }: { file: string; backend: Backend }): Promise<{
    aborted: { name: string; tiles: number };
    after: { width: number; height: number };
  }> {
    const photo = await (await upscalerOn(backend)).read(blobOf(file));
    const stop = new AbortController();
    let tiles = 0;
    const error = await photo
      .enlarge(
        { tile: 32 },
        {
          signal: stop.signal,
          onProgress: (done) => {
            tiles = done;
            if (done === 1) stop.abort();
          },
        },
      )
      .then(
        () => new Error("it was not aborted"),
        (error: Error) => error,
      );
    const { width, height } = await photo.enlarge({ tile: 64 });
    return { aborted: { name: error.name, tiles }, after: { width, height } };
  },

  /** A result of soft colours, written as a network's would be, in a worker of its own. */
  large(size: { width: number; height: number }): Promise<{ file: string; crop: number[]; left: number }> {
    const worker = new Worker(new URL("large-worker.ts", import.meta.url), { type: "module" });
    return new Promise((resolve, reject) => {
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.onmessage = async ({ data }: MessageEvent<{ blob: Blob; crop: number[]; left: number }>) => {
        const { blob, ...rest } = data;
        resolve({ ...rest, file: await base64Of(blob) });
        worker.terminate();
      };
      worker.postMessage(size);
    });
  },
};

/** What can be called. */
export type PageCalls = typeof CALLS;

Object.assign(globalThis, CALLS);
