/** Results to files: rows pass by, nothing holds a second copy of all pixels but a canvas, where one encodes. */
import {
  type Attachments,
  attachToJpeg,
  attachToWebp,
  interleave,
  overWhite,
  pieces,
  pngEncoder,
  toBytes,
} from "@deplsr/photo";
import type { ResultFormat } from "../client/api.ts";
import { startDeflation } from "./deflation.ts";
import type { ResultStore } from "./result-store.ts";

/** Parts of a file are handed to the browser when they are so many bytes, which may keep them on disk. */
const PART_BYTES = 2 ** 24;

/** JPEG as good as the command's; WebP a little smaller. */
const QUALITY = { jpeg: 95, webp: 90 } as const;

/** How a result is encoded. */
export interface EncodeOptions {
  readonly attachments: Attachments;
  readonly quality: number | undefined;
  readonly signal: AbortSignal;
}

/** Encodes a result. @throws Error with one line where the browser cannot; the signal's reason once it is aborted */
export async function encodeResult(store: ResultStore, format: ResultFormat, options: EncodeOptions): Promise<Blob> {
  return format === "png" ? encodePng(store, options) : encodeByCanvas(store, format, options);
}

async function encodePng(store: ResultStore, { attachments, signal }: EncodeOptions): Promise<Blob> {
  const done: Blob[] = [];
  let parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const handOver = (): void => {
    done.push(new Blob(parts));
    [parts, bytes] = [[], 0];
  };
  const sink = {
    async write(part: Uint8Array): Promise<void> {
      parts.push(Uint8Array.from(part));
      bytes += part.length;
      if (bytes >= PART_BYTES) handOver();
    },
    writeAt(): Promise<void> {
      throw new Error("internal: a PNG is written from its beginning to its end");
    },
  };
  const encoder = await pngEncoder(store.format, attachments, sink, { deflate: startDeflation });
  for (const [top, bottom] of pieces(store.format)) {
    signal.throwIfAborted();
    await encoder.writeRows(store.rows(top, bottom));
  }
  await encoder.end();
  handOver();
  return new Blob(done, { type: "image/png" });
}

async function encodeByCanvas(
  store: ResultStore,
  format: "jpeg" | "webp",
  { attachments, quality = QUALITY[format], signal }: EncodeOptions,
): Promise<Blob> {
  const { width, height } = store.format;
  const transparent = store.format.channels % 2 === 0;
  const context = new OffscreenCanvas(width, height).getContext("2d", { alpha: format === "webp" && transparent });
  if (!context) throw new Error(`this browser has no canvas of ${width}x${height} pixels: take PNG`);
  for (const [top, bottom] of pieces(store.format)) {
    signal.throwIfAborted();
    context.putImageData(imageOf(store, top, bottom, format === "jpeg"), 0, top);
    await new Promise((resolve) => setTimeout(resolve));
  }
  const type = `image/${format}`;
  const blob = await context.canvas.convertToBlob({ type, quality: quality / 100 }).catch(() => null);
  if (blob?.type !== type)
    throw new Error(`this browser cannot write a ${format.toUpperCase()} of ${width}x${height} pixels: take PNG`);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const whole =
    format === "jpeg"
      ? attachToJpeg(bytes, attachments, [])
      : attachToWebp(bytes, attachments, { width, height, alpha: transparent });
  return new Blob([whole], { type });
}

/** Rows as a canvas takes them. @param opaque over white */
function imageOf(store: ResultStore, top: number, bottom: number, opaque: boolean): ImageData {
  const { width, channels } = store.format;
  const values = toBytes(store.rows(top, bottom));
  const colours = new Uint8Array(width * (bottom - top) * 3);
  const alpha = channels % 2 === 0 ? new Uint8Array(width * (bottom - top)) : null;
  for (let i = 0; i < colours.length / 3; i++) {
    for (let c = 0; c < 3; c++) colours[i * 3 + c] = values[i * channels + (channels < 3 ? 0 : c)]!;
    if (alpha) alpha[i] = values[i * channels + channels - 1]!;
  }
  const data = opaque ? overWhite({ data: colours, alpha }) : colours;
  const shown = opaque || !alpha ? new Uint8Array(colours.length / 3).fill(255) : alpha;
  const pixels = { width, height: bottom - top, depth: 8, data, alpha: shown, profile: null } as const;
  return new ImageData(new Uint8ClampedArray(interleave(pixels, 4, 0, bottom - top)), width);
}
