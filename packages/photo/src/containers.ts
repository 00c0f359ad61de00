/** Metadata into the files of JPEG and WebP, byte by byte as it is. */
import { fromLatin1, fromUtf8, joined, toLatin1, viewOf } from "./bytes.ts";
import type { Attachments } from "./row-format.ts";

/** What one segment of a JPEG holds at most, its length included. */
const MOST_SEGMENT = 65535;

/**
 * A JPEG with metadata in it.
 *
 * @param notes told of what is too long for a JPEG and left out
 * @see Exif 2.32, 4.5; XMP Part 3, 1.1.3; ICC.1:2022, B.4
 */
export function attachToJpeg(
  jpeg: Uint8Array,
  { profile, exif, xmp, density }: Attachments,
  notes: string[],
): Uint8Array<ArrayBuffer> {
  // EXIF comes before all else but JFIF's segment, which the encoder has written.
  const view = viewOf(jpeg);
  const start = view.getUint16(2) === 0xffe0 ? 4 + view.getUint16(4) : 2;
  const segments: Uint8Array[] = [];
  const add = (what: string, marker: number, head: string, data: Uint8Array): void => {
    const segment = joined([Uint8Array.of(0xff, marker, 0, 0), fromLatin1(head), data]);
    if (segment.length - 2 > MOST_SEGMENT) {
      notes.push(
        `the ${what} data of ${data.length} bytes are too long for a JPEG and left out: write a .png or .tif to keep them`,
      );
      return;
    }
    viewOf(segment).setUint16(2, segment.length - 2);
    segments.push(segment);
  };
  if (exif !== null) add("EXIF", 0xe1, "Exif\0\0", exif);
  if (xmp !== null) add("XMP", 0xe1, "http://ns.adobe.com/xap/1.0/\0", fromUtf8(xmp));
  const room = MOST_SEGMENT - 16;
  const parts = Math.ceil((profile?.length ?? 0) / room);
  for (let i = 0; i < parts; i++)
    add(
      "profile",
      0xe2,
      `ICC_PROFILE\0${String.fromCharCode(i + 1, parts)}`,
      profile!.subarray(i * room, (i + 1) * room),
    );
  const result = joined([jpeg.subarray(0, start), ...segments, jpeg.subarray(start)]);
  if (start > 2 && density !== null) {
    result[13] = 1; // pixels per inch
    for (const at of [14, 16]) viewOf(result).setUint16(at, Math.min(65535, Math.round(density)));
  }
  return result;
}

/**
 * A WebP with metadata in it.
 *
 * @param alpha whether it has opacity
 * @see https://developers.google.com/speed/webp/docs/riff_container
 */
export function attachToWebp(
  webp: Uint8Array,
  { profile, exif, xmp }: Attachments,
  { width, height, alpha }: { readonly width: number; readonly height: number; readonly alpha: boolean },
): Uint8Array<ArrayBuffer> {
  const picture: Uint8Array[] = [];
  for (let at = 12; at + 8 <= webp.length; ) {
    const length = viewOf(webp).getUint32(at + 4, true);
    const end = at + 8 + length + (length % 2);
    if (toLatin1(webp.subarray(at, at + 4)) !== "VP8X") picture.push(webp.subarray(at, end));
    at = end;
  }
  const features = new Uint8Array(10);
  features[0] = (profile ? 0x20 : 0) | (alpha ? 0x10 : 0) | (exif ? 0x08 : 0) | (xmp ? 0x04 : 0);
  for (let i = 0; i < 3; i++) {
    features[4 + i] = (width - 1) >> (8 * i);
    features[7 + i] = (height - 1) >> (8 * i);
  }
  const chunks: Uint8Array[] = [riffChunk("VP8X", features)];
  if (profile !== null) chunks.push(riffChunk("ICCP", profile));
  chunks.push(...picture);
  if (exif !== null) chunks.push(riffChunk("EXIF", exif));
  if (xmp !== null) chunks.push(riffChunk("XMP ", fromUtf8(xmp)));
  return riffChunk("RIFF", joined([fromLatin1("WEBP"), ...chunks]));
}

function riffChunk(name: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunk = new Uint8Array(8 + data.length + (data.length % 2));
  chunk.set(fromLatin1(name));
  viewOf(chunk).setUint32(4, data.length, true);
  chunk.set(data, 8);
  return chunk;
}
