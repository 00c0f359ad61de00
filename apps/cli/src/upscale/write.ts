/** Writing a result while it is made. */
import { interleave, type Photo, type PhotoMetadata, type Provenance } from "@deplsr/photo";
import type { RestoredStrips } from "@deplsr/restore";
import type { OutputFormat } from "../photo/output-format.ts";
import { encodePhoto, type WritablePhoto, writePhoto } from "../photo/write.ts";
import { isStreamed, openPhotoWriter } from "../photo/writer.ts";

/** How a result is written. */
export interface ResultOptions {
  readonly format: OutputFormat;
  readonly quality?: number;
  readonly strip: boolean;
  readonly provenance: Provenance;
}

/** The bits of a result: 16 where the photo has them and the format too. */
export function resultDepth(photo: Photo, format: OutputFormat): 8 | 16 {
  return photo.depth === 16 && format !== "jpeg" && format !== "webp" ? 16 : 8;
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
  if (out !== null && isStreamed(format)) {
    const description = { width, height, depth, channels, profile, metadata, strip, provenance } as const;
    const writer = await openPhotoWriter(out, description);
    try {
      for await (const part of strips) {
        await writer.writeRows(interleave({ ...part, width, height, depth, profile }, channels, 0, part.rows));
      }
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
