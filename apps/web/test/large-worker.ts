/** Writes a result that is kept on disk, and encodes it: what the engine does of a large photo, without the network. */
import { encodeResult } from "../src/engine/encode.ts";
import { ResultStore } from "../src/engine/result-store.ts";

const ROWS = 64;

globalThis.onmessage = async ({ data: { width, height } }: MessageEvent<{ width: number; height: number }>) => {
  const store = await ResultStore.open({ width, height, channels: 3, depth: 8, profile: null }, 2 ** 20);
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    const data = new Uint8Array(rows * width * 3);
    for (let i = 0; i < rows * width; i++) {
      const [x, y] = [i % width, top + Math.floor(i / width)];
      data.set([y, x, x + y], i * 3);
    }
    store.write({ top, rows, data, alpha: null });
  }
  const bitmap = await store.crop({ left: 100, top: 10, width: 40, height: 20, outWidth: 20, outHeight: 10 });
  const context = new OffscreenCanvas(20, 10).getContext("2d")!;
  context.drawImage(bitmap, 0, 0);
  const crop = Array.from(context.getImageData(0, 0, 1, 1).data.subarray(0, 3));
  const attachments = { profile: null, exif: null, xmp: null, density: null };
  const { signal } = new AbortController();
  const blob = await encodeResult(store, "png", { attachments, quality: undefined, signal });
  await store.close();
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("deplsr-results");
  let left = 0;
  for await (const _ of (folder as unknown as { keys(): AsyncIterable<string> }).keys()) left++;
  globalThis.postMessage({ blob, crop, left });
};
