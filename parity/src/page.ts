/** What runs in the page. */
import type { PixelImage } from "@deplsr/clip";
import { oneLine } from "./errors.ts";
import type { Folder } from "./folder.ts";
import { compareFolder, type Selection } from "./session.ts";

/** What the page is to do. */
export interface PageTask extends Pick<Folder, "name" | "files"> {
  /** The path below which the folder's files are served. */
  readonly base: string;
  readonly selection: Selection;
}

/** The exit code, or why there is none. */
export type PageAnswer = { readonly code: number } | { readonly problem: string };

declare global {
  /** Prints where the command was called. */
  var printLine: (line: string) => Promise<void>;
}

async function compare({ name, files, base, selection }: PageTask): Promise<PageAnswer> {
  const read = async (path: string): Promise<Uint8Array> => {
    const response = await fetch(base + path.split("/").map(encodeURIComponent).join("/"));
    if (!response.ok) throw new Error(`${path} is not served`);
    return new Uint8Array(await response.arrayBuffer());
  };
  try {
    return { code: await compareFolder({ name, files, read, decode }, selection, printLine) };
  } catch (error) {
    return { problem: oneLine(error) };
  }
}

/** Decodes with the browser's own means: the stored values, whatever profile the file names. */
async function decode(bytes: Uint8Array, name: string): Promise<PixelImage> {
  const bitmap = await createImageBitmap(new Blob([bytes.slice()]), { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(`${name} is no image that this browser decodes`);
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (!context) throw new Error(`${name}: the browser has no canvas of ${width}x${height}`);
  // Transparency is over white, as in Node.
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return {
    width,
    height,
    channels: 3,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]!),
  };
}

Object.assign(globalThis, { compare });
