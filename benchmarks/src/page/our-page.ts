/** The page's upscaler by itself, in a page. */
import { openUpscaler } from "../../../apps/web/src/client/upscaler.ts";

/** What is asked of it. */
export interface OurTask {
  readonly url: string;
  readonly backend: "wasm" | "webgpu";
  readonly tile: number | "auto";
  /** How often it is enlarged. */
  readonly times: number;
}

/** What came of it. */
export interface OurResult {
  readonly device: string;
  /** Seconds of each time; the first loads the network. */
  readonly seconds: readonly number[];
  /** Seconds until the device was known, and from there until the photo was seen. */
  readonly opened: number;
  readonly diagnosed: number;
  /** Base64 of the last one's PNG. */
  readonly file: string;
}

async function enlarge({ url, backend, tile, times }: OurTask): Promise<OurResult> {
  const since = (start: number): number => (performance.now() - start) / 1000;
  let started = performance.now();
  const upscaler = await openUpscaler({ backend });
  const opened = since(started);
  started = performance.now();
  const photo = await upscaler.read(await (await fetch(url)).blob());
  await photo.diagnose();
  const diagnosed = since(started);
  const seconds: number[] = [];
  let blob = new Blob();
  for (let i = 0; i < times; i++) {
    started = performance.now();
    const result = await photo.enlarge({ scale: 2, tile }, { onTile: ({ bitmap }) => bitmap.close() });
    seconds.push(since(started));
    blob = await result.encode("png");
    result.close();
  }
  const { name } = upscaler.device;
  upscaler.close();
  const address = await new Promise<string>((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.readAsDataURL(blob);
  });
  return { device: name, seconds, opened, diagnosed, file: address.slice(address.indexOf(",") + 1) };
}

Object.assign(globalThis, { enlarge });
