/** Several files as one: a ZIP archive without compression, for pictures are compressed already. */
import { crc32 } from "@deplsr/photo";

/** A file of an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly blob: Blob;
}

/** What 32 bits can say: above it an archive would have to be of another kind. */
const LIMIT = 2 ** 32 - 1;

/**
 * An archive. Files are read one after the other for their checksums, none is copied. Names that occur twice get a number.
 *
 * @throws RangeError where it would be larger than 4 GB
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3
 */
export async function zip(entries: readonly ZipEntry[]): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  const taken = new Set<string>();
  let offset = 0;
  for (const { name, blob } of entries) {
    const bytes = new TextEncoder().encode(freeName(name, taken));
    const crc = await checksum(blob);
    const about = { bytes, crc, size: blob.size };
    const head = header(about, null);
    directory.push(header(about, offset));
    parts.push(head, blob);
    offset += head.length + blob.size;
    if (offset > LIMIT) throw new RangeError("all photos together are larger than 4 GB: download them one by one");
  }
  const length = directory.reduce((sum, { length }) => sum + length, 0);
  return new Blob([...parts, ...directory, end(directory.length, length, offset)], { type: "application/zip" });
}

/** A file's header, in the directory where its offset is given. */
function header(
  { bytes, crc, size }: { readonly bytes: Uint8Array; readonly crc: number; readonly size: number },
  offset: number | null,
): Uint8Array<ArrayBuffer> {
  const local = offset === null;
  const out = new Uint8Array((local ? 30 : 46) + bytes.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, local ? 0x04034b50 : 0x02014b50, true);
  if (!local) view.setUint16(4, 20, true); // made by version 2.0
  const at = local ? 4 : 6;
  view.setUint16(at, 20, true); // needs version 2.0
  view.setUint16(at + 2, 0x0800, true); // names are UTF-8
  view.setUint16(at + 8, 0x21, true); // the first day that can be said, 1980-01-01: archives of the same files are the same
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, size, true); // compressed
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, bytes.length, true);
  if (!local) view.setUint32(42, offset, true);
  out.set(bytes, local ? 30 : 46);
  return out;
}

/** The end of the directory. */
function end(count: number, length: number, offset: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(22);
  const view = new DataView(out.buffer);
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, length, true);
  view.setUint32(16, offset, true);
  return out;
}

/** A name that no other file has: `a.png`, `a-2.png`. */
function freeName(name: string, taken: Set<string>): string {
  const [, stem, ending] = /^(.*?)(\.[^.]*)?$/s.exec(name)!;
  let free = name;
  for (let n = 2; taken.has(free.toLowerCase()); n++) free = `${stem}-${n}${ending ?? ""}`;
  taken.add(free.toLowerCase());
  return free;
}

async function checksum(blob: Blob): Promise<number> {
  let crc = 0;
  const reader = blob.stream().getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) crc = crc32(piece.value, crc);
  return crc;
}
