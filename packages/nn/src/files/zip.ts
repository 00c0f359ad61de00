import { bytesSource, FileFormatError, quoted, readRange, type Source } from "@deplsr/tensor";

/**
 * Reads zip archives at any place, also those beyond 4 GiB. Stored entries are read where they lie; deflated ones are inflated whole.
 *
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (4.3.7, 4.3.12 to 4.3.16, 4.5.3)
 */

/** One file of an archive. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes of its contents. */
  readonly size: number;
  readonly deflated: boolean;
  readonly compressedSize: number;
  /** Where its local header begins. */
  readonly headerOffset: number;
}

/** Bytes of a central directory: 100 for each tensor. */
const MAX_DIRECTORY_BYTES = 32 * 2 ** 20;
/** Bytes of an inflated entry. PyTorch stores; what was compressed later has its largest tensor in memory. */
const MAX_INFLATED_BYTES = 256 * 2 ** 20;

const LOCAL_HEADER = 0x04034b50;
const DIRECTORY_ENTRY = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;

/** An archive whose directory has been read. */
export class ZipArchive {
  /** Entries by name, in the directory's order. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #source: Source;
  readonly #inflated = new WeakMap<ZipEntry, WeakRef<Uint8Array>>();

  private constructor(source: Source, entries: ReadonlyMap<string, ZipEntry>) {
    this.#source = source;
    this.entries = entries;
  }

  /** @throws FileFormatError when the archive is cut off, damaged, encrypted or names an entry twice */
  static async open(source: Source): Promise<ZipArchive> {
    const { offset, bytes, count } = await findDirectory(source);
    if (bytes > MAX_DIRECTORY_BYTES) fail(`the directory of ${bytes} bytes is too large`);
    const directory = await readRange(source, offset, bytes, "zip: the directory");
    return new ZipArchive(source, parseDirectory(directory, count));
  }

  /** The contents of an entry. @throws FileFormatError when they are not what the directory says */
  async contents(entry: ZipEntry): Promise<Source> {
    const what = `zip: entry ${quoted(entry.name)}`;
    const header = viewOf(await readRange(this.#source, entry.headerOffset, 30, what));
    if (header.getUint32(0, true) !== LOCAL_HEADER) fail(`there is no entry ${quoted(entry.name)} where it should be`);
    const start = entry.headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    const end = start + entry.compressedSize;
    if (end > this.#source.size) fail(`entry ${quoted(entry.name)} ends at byte ${end}, beyond the end: it is cut off`);
    if (!entry.deflated) {
      return { size: entry.size, read: (offset, length) => this.#source.read(start + offset, length) };
    }
    const known = this.#inflated.get(entry)?.deref();
    const bytes = known ?? (await inflate(await this.#source.read(start, entry.compressedSize), entry));
    if (!known) this.#inflated.set(entry, new WeakRef(bytes));
    return bytesSource(bytes);
  }
}

interface Directory {
  readonly offset: number;
  readonly bytes: number;
  readonly count: number;
}

/** Reads the record at the end of the archive that says where its directory is. */
async function findDirectory(source: Source): Promise<Directory> {
  const tailStart = Math.max(0, source.size - 22 - 0xffff);
  const tail = viewOf(await source.read(tailStart, source.size - tailStart));
  let at = tail.byteLength - 22;
  while (
    at >= 0 &&
    !(tail.getUint32(at, true) === END && at + 22 + tail.getUint16(at + 20, true) === tail.byteLength)
  ) {
    at--;
  }
  if (at < 0) fail("the record that ends an archive is missing: the file is cut off or damaged");
  const near: Directory = {
    count: tail.getUint16(at + 10, true),
    bytes: tail.getUint32(at + 12, true),
    offset: tail.getUint32(at + 16, true),
  };
  if (near.count !== 0xffff && near.bytes !== 0xffffffff && near.offset !== 0xffffffff) return near;
  const locatorAt = tailStart + at - 20;
  const locator = viewOf(await readRange(source, locatorAt, 20, "zip: the 64-bit locator"));
  if (locator.getUint32(0, true) !== LOCATOR_64) fail("the 64-bit locator is missing: the file is damaged");
  const far = viewOf(await readRange(source, large(locator, 8), 56, "zip: the 64-bit record of the end"));
  if (far.getUint32(0, true) !== END_64) fail("the 64-bit record of the end is missing: the file is damaged");
  return { count: large(far, 32), bytes: large(far, 40), offset: large(far, 48) };
}

function parseDirectory(bytes: Uint8Array, count: number): Map<string, ZipEntry> {
  const view = viewOf(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  while (at < bytes.length) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== DIRECTORY_ENTRY) fail("the directory is damaged");
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const extraAt = at + 46 + nameLength!;
    const next = extraAt + extraLength! + commentLength!;
    if (next > bytes.length) fail("the directory is damaged");
    const entry = parseEntry(
      view,
      at,
      new TextDecoder().decode(bytes.subarray(at + 46, extraAt)),
      viewOf(bytes.subarray(extraAt, extraAt + extraLength!)),
    );
    if (entries.has(entry.name)) fail(`two entries are named ${quoted(entry.name)}`);
    entries.set(entry.name, entry);
    at = next;
  }
  if (entries.size !== count) fail(`the directory holds ${entries.size} entries instead of ${count}`);
  return entries;
}

function parseEntry(view: DataView, at: number, name: string, extra: DataView): ZipEntry {
  if (view.getUint16(at + 8, true) & 1) fail(`entry ${quoted(name)} is encrypted`);
  const method = view.getUint16(at + 10, true);
  if (method !== 0 && method !== 8)
    fail(`entry ${quoted(name)} is compressed by method ${method}, only 0 and 8 are read`);
  const wide = wideNumbers(extra);
  const number = (field: number): number => {
    const value = view.getUint32(at + field, true);
    return value === 0xffffffff ? (wide.shift() ?? fail(`entry ${quoted(name)} lacks its 64-bit sizes`)) : value;
  };
  // In the order in which the 64-bit ones are stored.
  const size = number(24);
  const compressedSize = number(20);
  const headerOffset = number(42);
  if (method === 0 && size !== compressedSize) fail(`entry ${quoted(name)} is stored, but of two sizes`);
  return { name, size, deflated: method === 8, compressedSize, headerOffset };
}

/** The 64-bit numbers of an entry whose sizes or place do not fit into 32 bits: extra field 1. */
function wideNumbers(extra: DataView): number[] {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    const end = at + 4 + extra.getUint16(at + 2, true);
    if (extra.getUint16(at, true) !== 1 || end > extra.byteLength) continue;
    return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, i) => large(extra, at + 4 + 8 * i));
  }
  return [];
}

/** Inflates an entry, which must have exactly the size that the directory gives it. */
async function inflate(compressed: Uint8Array, { name, size }: ZipEntry): Promise<Uint8Array> {
  if (size > MAX_INFLATED_BYTES) {
    fail(
      `entry ${quoted(name)} inflates to ${size} bytes, over ${MAX_INFLATED_BYTES}: save the file without compression`,
    );
  }
  const parts: Uint8Array[] = [];
  let total = 0;
  const stream = new Blob([compressed as Uint8Array<ArrayBuffer>]).stream();
  const reader = stream.pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  try {
    for (let part = await reader.read(); !part.done && total <= size; part = await reader.read()) {
      parts.push(part.value);
      total += part.value.length;
    }
  } catch {
    fail(`entry ${quoted(name)} does not inflate: the file is damaged`);
  } finally {
    // Of a stream that failed nothing is left to cancel.
    await reader.cancel().catch(() => undefined);
  }
  if (total !== size) fail(`entry ${quoted(name)} inflates to other than the ${size} bytes it claims`);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function large(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function fail(problem: string): never {
  throw new FileFormatError(`zip: ${problem}`);
}
