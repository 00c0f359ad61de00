/** Results to files. */
import type { ResultFormat } from "../client/api.ts";
import type { ResultStore } from "./result-store.ts";

export async function encodeResult(
  store: ResultStore,
  format: ResultFormat,
  quality: number | undefined,
): Promise<Blob> {
  const { width, height } = store.format;
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")!.putImageData(store.image(), 0, 0);
  return canvas.convertToBlob({ type: `image/${format}`, quality: (quality ?? 92) / 100 });
}
