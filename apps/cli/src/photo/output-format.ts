/** The formats that photos are written in, and what they have room for. */
import { extname } from "node:path";
import { UserError } from "../errors.ts";

/** The formats that are written. */
export type OutputFormat = "png" | "jpeg" | "webp" | "avif" | "tiff";

const ENDINGS: Readonly<Record<string, OutputFormat>> = {
  ".png": "png",
  ".jpg": "jpeg",
  ".jpeg": "jpeg",
  ".jpe": "jpeg",
  ".jif": "jpeg",
  ".jfif": "jpeg",
  ".webp": "webp",
  ".avif": "avif",
  ".tif": "tiff",
  ".tiff": "tiff",
};

/** The format that a file's name asks for. @throws UserError when it is none that is written */
export function outputFormat(name: string): OutputFormat {
  const format = ENDINGS[extname(name).toLowerCase()];
  if (format !== undefined) return format;
  throw new UserError(`image: cannot write ${name}: its name must end in .png, .jpg, .webp, .avif or .tif`);
}

/** Whether a file's name asks for a format that is written. */
export function isWritable(name: string): boolean {
  return ENDINGS[extname(name).toLowerCase()] !== undefined;
}

/** The longest sides that formats have room for. */
const SIDES: Readonly<Record<OutputFormat, number>> = {
  png: 2 ** 31 - 1,
  jpeg: 65535,
  webp: 16383,
  avif: 65535,
  tiff: 2 ** 31 - 1,
};

/** The most that a picture may take in memory, for formats that are not written row by row. */
const MOST_BYTES = 2 ** 30;

/**
 * Checks that a picture of this size can be written, before it is made.
 *
 * @param name the file's, for the message
 * @throws UserError that says what would be too much, and what to write instead
 */
export function checkRoom(
  format: OutputFormat,
  name: string,
  { width, height, depth, channels = 3 }: { width: number; height: number; depth: 8 | 16; channels?: number },
): void {
  if (Math.max(width, height) > SIDES[format])
    throw new UserError(
      `image: ${name} would be ${width}x${height}, where its format ends at ${SIDES[format]} pixels a side: write a .png or .tif`,
    );
  const bytes = width * height * channels * (depth / 8);
  if (format !== "png" && format !== "tiff" && bytes > MOST_BYTES)
    throw new UserError(
      `image: ${name} would be ${width}x${height}, ${bytes} bytes that its format takes at once, over the ${MOST_BYTES} that it may: write a .png or .tif, which need a few rows at a time`,
    );
}
