/** Metadata into the files of JPEG and WebP, byte by byte as it is. */
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
): Uint8Array {
  // EXIF comes before all else but JFIF's segment, which the encoder has written.
  const view = new DataView(jpeg.buffer, jpeg.byteOffset, jpeg.length);
  const start = view.getUint16(2) === 0xffe0 ? 4 + view.getUint16(4) : 2;
  const segments: Uint8Array[] = [];
  const add = (what: string, marker: number, head: string, data: Uint8Array): void => {
    const segment = Buffer.concat([Buffer.from([0xff, marker, 0, 0]), Buffer.from(head, "latin1"), data]);
    if (segment.length - 2 > MOST_SEGMENT) {
      notes.push(
        `the ${what} data of ${data.length} bytes are too long for a JPEG and left out: write a .png or .tif to keep them`,
      );
      return;
    }
    segment.writeUInt16BE(segment.length - 2, 2);
    segments.push(segment);
  };
  if (exif !== null) add("EXIF", 0xe1, "Exif\0\0", exif);
  if (xmp !== null) add("XMP", 0xe1, "http://ns.adobe.com/xap/1.0/\0", Buffer.from(xmp, "utf8"));
  const room = MOST_SEGMENT - 16;
  const parts = Math.ceil((profile?.length ?? 0) / room);
  for (let i = 0; i < parts; i++)
    add(
      "profile",
      0xe2,
      `ICC_PROFILE\0${String.fromCharCode(i + 1, parts)}`,
      profile!.subarray(i * room, (i + 1) * room),
    );
  const result = Buffer.concat([jpeg.subarray(0, start), ...segments, jpeg.subarray(start)]);
  if (start > 2 && density !== null) {
    result[13] = 1; // pixels per inch
    for (const at of [14, 16]) result.writeUInt16BE(Math.min(65535, Math.round(density)), at);
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
): Uint8Array {
  const source = Buffer.from(webp.buffer, webp.byteOffset, webp.length);
  const picture: Buffer[] = [];
  for (let at = 12; at + 8 <= source.length; ) {
    const length = source.readUInt32LE(at + 4);
    const end = at + 8 + length + (length % 2);
    if (source.toString("latin1", at, at + 4) !== "VP8X") picture.push(source.subarray(at, end));
    at = end;
  }
  const features = Buffer.alloc(10);
  features[0] = (profile ? 0x20 : 0) | (alpha ? 0x10 : 0) | (exif ? 0x08 : 0) | (xmp ? 0x04 : 0);
  features.writeUIntLE(width - 1, 4, 3);
  features.writeUIntLE(height - 1, 7, 3);
  const chunks = [riffChunk("VP8X", features)];
  if (profile !== null) chunks.push(riffChunk("ICCP", profile));
  chunks.push(...picture);
  if (exif !== null) chunks.push(riffChunk("EXIF", exif));
  if (xmp !== null) chunks.push(riffChunk("XMP ", Buffer.from(xmp, "utf8")));
  const body = Buffer.concat([Buffer.from("WEBP", "latin1"), ...chunks]);
  return riffChunk("RIFF", body);
}

function riffChunk(name: string, data: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.write(name, 0, "latin1");
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}
