/** Writing a result while it is made. */
import type { RestoredStrip, RestoredStrips } from "@deplsr/restore";
import { UserError } from "../errors.ts";
import type { Photo, PhotoMetadata } from "../photo/photo.ts";
import type { Provenance } from "../photo/provenance.ts";
import { encodePhoto, type OutputFormat, type WritablePhoto, writePhoto } from "../photo/write.ts";
import { openPhotoWriter, STREAMED_FORMATS } from "../photo/writer.ts";

/** How a result is written. */
export interface ResultOptions {
  readonly format: OutputFormat;
  readonly quality?: number;
  readonly strip: boolean;
  readonly provenance: Provenance;
}

/** Formats that are not written row by row need all of a picture at once: no more than this. */
const MOST_WHOLE_BYTES = 2 ** 30;

/** The bits of a result: 16 where the photo has them and the format too. */
export function resultDepth(photo: Photo, format: OutputFormat): 8 | 16 {
  return photo.depth === 16 && format !== "jpeg" && format !== "webp" ? 16 : 8;
}

/** @throws UserError before the work when a result needs more memory than it may take */
export function checkRoom(
  out: string,
  { width, height, depth }: Pick<RestoredStrips, "width" | "height" | "depth">,
  format: OutputFormat,
): void {
  const bytes = (width * height * 3 * depth) / 8;
  if (streamed(format) || bytes <= MOST_WHOLE_BYTES) return;
  throw new UserError(
    `upscale: ${out} would be ${width}x${height}, ${bytes} bytes in memory where ${MOST_WHOLE_BYTES} are the most for ${format}: ` +
      "write it with --format png or tiff, which need a few rows at a time",
  );
}

function streamed(format: OutputFormat): boolean {
  return (STREAMED_FORMATS as readonly string[]).includes(format);
}

/**
 * Writes a result, whole or not at all.
 *
 * @param out a file, or null for its bytes on stdout
 * @returns what was lost, a line each
 * @throws WriteError; what making the result throws
 */
export async function writeResult(
  out: string | null,
  photo: Photo,
  result: RestoredStrips,
  { format, quality, strip, provenance }: ResultOptions,
): Promise<readonly string[]> {
  const { width, height, depth, strips } = result;
  const { metadata, profile, grey } = photo;
  const channels = grey ? (photo.alpha ? 2 : 1) : photo.alpha ? 4 : 3;
  if (out !== null && streamed(format)) {
    const description = { width, height, depth, channels, profile, metadata, strip, provenance } as const;
    const writer = await openPhotoWriter(out, description);
    try {
      for await (const part of strips) await writer.writeRows(interleaved(part, channels));
      await writer.close();
    } finally {
      await writer.abort();
    }
    return [];
  }
  const whole = await collected(result, photo, metadata);
  const options = { strip, provenance, ...(quality === undefined ? {} : { quality }) };
  if (out !== null) return writePhoto(out, whole, options);
  const { bytes, notes } = await encodePhoto(whole, { ...options, format });
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
  return notes;
}

async function collected(result: RestoredStrips, photo: Photo, metadata: PhotoMetadata): Promise<WritablePhoto> {
  const { width, height, depth, strips } = result;
  const room = (length: number): Uint8Array | Uint16Array =>
    depth === 8 ? new Uint8Array(length) : new Uint16Array(length);
  const data = room(width * height * 3);
  const alpha = photo.alpha ? room(width * height) : null;
  for await (const part of strips) {
    data.set(part.data, part.top * width * 3);
    if (part.alpha) alpha?.set(part.alpha, part.top * width);
  }
  return { width, height, depth, data, alpha, profile: photo.profile, grey: photo.grey, metadata };
}

/** A strip's values as a file wants them: one channel of a grey one, and opacity behind the colours. */
function interleaved({ data, alpha }: RestoredStrip, channels: 1 | 2 | 3 | 4): Uint8Array | Uint16Array {
  if (channels === 3) return data;
  const pixels = data.length / 3;
  const colours = channels > 2 ? 3 : 1;
  const result = data instanceof Uint8Array ? new Uint8Array(pixels * channels) : new Uint16Array(pixels * channels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < colours; c++) result[i * channels + c] = data[i * 3 + c]!;
    if (alpha && channels % 2 === 0) result[i * channels + channels - 1] = alpha[i]!;
  }
  return result;
}
