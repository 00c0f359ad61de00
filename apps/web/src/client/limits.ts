/** What fits: results that are refused before the work, with the reason. */
import { resultSize } from "@deplsr/restore";
import type { EnlargeSettings, ResultFormat, ResultPlan } from "./api.ts";

/** The longest sides that formats have room for. */
const SIDES = { png: 2 ** 31 - 1, jpeg: 65535, webp: 16383 } as const satisfies Record<ResultFormat, number>;

/** The longest side, and the most pixels, of a canvas that browsers have in common; one encodes JPEG and WebP. */
const CANVAS_SIDE = 32767;
const CANVAS_PIXELS = 2 ** 27;

/** The most pixels of a photo that is read. */
const MOST_PHOTO_PIXELS = 2 ** 28;

/** @throws Error with one line for a photo that there is no room for */
export function checkPhotoSize(width: number, height: number): void {
  if (width * height > MOST_PHOTO_PIXELS) {
    throw new Error(
      `it has ${width}x${height} pixels, more than the ${MOST_PHOTO_PIXELS} that fit: make it smaller first`,
    );
  }
}

/** The photo that a result is made of. */
export interface PlannedPhoto {
  readonly width: number;
  readonly height: number;
  readonly depth: 8 | 16;
  readonly transparent: boolean;
  /** Bytes that a result may take. */
  readonly room: number;
}

/** The scale of the network that is taken for settings: the smallest of the two that reaches what is asked for. */
export function networkScale({ scale }: EnlargeSettings): 2 | 4 {
  return (scale ?? 2) > 2 ? 4 : 2;
}

/**
 * How large a result would be, and which files it fits into.
 *
 * @throws RangeError naming a setting that does not fit
 */
export function planOf(photo: PlannedPhoto, settings: EnlargeSettings): ResultPlan {
  const { scale, width, height } = settings;
  const asked = {
    ...(scale === undefined ? {} : { scale }),
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
  };
  const size = resultSize(photo, asked, networkScale(settings));
  const bytes = resultBytes(photo, size);
  if (bytes > photo.room) {
    const why = `the result of ${size.width}x${size.height} pixels takes ${megabytes(bytes)}, and this browser has room for ${megabytes(photo.room)}: choose a smaller scale, or free some disk space`;
    return { ...size, refused: { png: why, jpeg: why, webp: why } };
  }
  return { ...size, refused: { png: null, jpeg: refusal("jpeg", size), webp: refusal("webp", size) } };
}

/** Bytes of a result's pixels. */
export function resultBytes(
  { depth, transparent }: Pick<PlannedPhoto, "depth" | "transparent">,
  { width, height }: { readonly width: number; readonly height: number },
): number {
  return width * height * (transparent ? 4 : 3) * (depth / 8);
}

function refusal(format: "jpeg" | "webp", { width, height }: { width: number; height: number }): string | null {
  const name = format === "jpeg" ? "JPEG" : "WebP";
  const side = Math.min(SIDES[format], CANVAS_SIDE);
  if (Math.max(width, height) > side)
    return `${width}x${height} pixels are too many a side for ${name} here (at most ${side}): take PNG`;
  if (width * height > CANVAS_PIXELS)
    return `${width}x${height} pixels are more than this browser encodes as ${name} (${CANVAS_PIXELS}): take PNG`;
  return null;
}

/** Bytes for people. */
export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
