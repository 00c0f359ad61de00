/** The bytes of photo files to pixels that stand upright, with the values and the colour profile that the file has. */
import {
  holdsTables,
  type Photo,
  type PhotoFormat,
  type PhotoHead,
  type Pixels,
  parseProfile,
  readHead,
  recognise,
  refusal,
  type SettledColours,
  settleColours,
} from "@deplsr/photo";
import { checkPhotoSize } from "../client/limits.ts";
import { decodePng } from "./decode-png.ts";

/** Rows that are taken from a canvas at a time. */
const BAND_PIXELS = 2 ** 20;

/** What the browser has made sRGB. */
const CONVERTED: SettledColours = { profile: null, problem: null };

/** Decodes a photo. @throws Error with one line for people: what it is instead, and what to do */
export async function decodePhoto(file: Blob, signal: AbortSignal): Promise<Photo> {
  if (file.size === 0) throw new Error(`it is empty (0 bytes): it was not written to the end, get it again`);
  const bytes = await bytesOf(file);
  signal.throwIfAborted();
  const format = formatOf(bytes);
  const head = await readHead(bytes, format);
  const notes: string[] = [];
  if (head.animated || format === "gif") notes.push(`it may move: its first picture is taken`);
  // A canvas multiplies colours by their opacity, and has 8 bits.
  const exact = format === "png" && (head.alpha || head.depth === 16);
  const pixels = exact ? decodePng(bytes, head.orientation) : await decodeByBrowser(file, { format, head, notes });
  signal.throwIfAborted();
  const { alpha, data } = pixels;
  const white = data instanceof Uint8Array ? 255 : 65535;
  const converted = !exact && convertsColours(head);
  const { profile, problem } = converted ? CONVERTED : await settleColours(data, { ...head, keep: true });
  if (problem !== null) {
    const name = head.metadata.icc?.description || "without a name";
    const why = problem === "tables" ? "cannot be applied to opacity or 16 bits here" : "does not fit its pixels";
    notes.push(`its colour profile (${name}) ${why}: they are taken for sRGB`);
  }
  return {
    ...pixels,
    alpha: alpha?.every((value) => value === white) ? null : alpha,
    profile,
    grey: head.grey,
    metadata: head.metadata,
    format,
    notes,
  };
}

async function bytesOf(file: Blob): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Error(`it cannot be read: it was moved or changed, choose it again`);
  }
}

function formatOf(bytes: Uint8Array): PhotoFormat {
  const content = recognise(bytes);
  if (!content?.photo) throw new Error(`it ${refusal(content)}`);
  if (content.photo === "tiff")
    throw new Error(`it is a TIFF, which browsers do not read: export it as PNG or JPEG, or use the command`);
  return content.photo;
}

/** What a browser reads of a file. */
interface Reading {
  readonly format: PhotoFormat;
  readonly head: PhotoHead;
  readonly notes: string[];
}

async function decodeByBrowser(file: Blob, { format, head, notes }: Reading): Promise<Pixels> {
  const options = {
    colorSpaceConversion: convertsColours(head) ? "default" : "none",
    premultiplyAlpha: "none",
  } as const;
  // The type that somebody gave it may be wrong.
  const typed = new Blob([file], { type: `image/${format}` });
  const bitmap = await createImageBitmap(typed, options).catch(() => {
    throw new Error(`it is truncated or damaged, or this browser does not read ${format.toUpperCase()}: get it again`);
  });
  try {
    const { width, height } = bitmap;
    checkPhotoSize(width, height);
    if (head.cmyk) notes.push(`it has the colours of print: the browser has converted them`);
    const data = new Uint8Array(width * height * 3);
    let alpha: Uint8Array | null = null;
    const rows = Math.max(1, Math.floor(BAND_PIXELS / width));
    const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error(`the browser has no canvas of ${width}x${rows} pixels: close other pages`);
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      context.clearRect(0, 0, width, rows);
      context.drawImage(bitmap, 0, -top);
      const band = context.getImageData(0, 0, width, count).data;
      for (let i = 0, at = top * width; i < band.length; i += 4, at++) {
        for (let c = 0; c < 3; c++) data[at * 3 + c] = band[i + c]!;
        const opacity = band[i + 3]!;
        if (opacity < 255) alpha ??= new Uint8Array(width * height).fill(255);
        if (alpha) alpha[at] = opacity;
      }
    }
    return { width, height, depth: 8, data, alpha, profile: null };
  } finally {
    bitmap.close();
  }
}

/** Whether the browser is asked to make sRGB of the colours: of print, and where a profile has tables. */
function convertsColours({ cmyk, grey, metadata: { icc } }: PhotoHead): boolean {
  return icc !== null && (cmyk || (!grey && parseProfile(icc.bytes) === null && holdsTables(icc.bytes)));
}
