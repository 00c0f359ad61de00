import { FileFormatError, quoted, readRange, type Source } from "./source.ts";
import {
  type FileTensor,
  isStoredDType,
  type StoredDType,
  type StoredEntry,
  type StoredTensor,
  storedBytes,
  storedSize,
  storedTensor,
  unreadableDType,
  unreadableTensor,
} from "./stored.ts";

/**
 * Reading and writing safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes, little-endian,
 * without gaps. Nothing in a file is executed, and everything that its header claims is checked before it is used. What the reference
 * implementation takes is taken, what it refuses is refused; of a name that is there twice the last counts, as with it. A tensor of an
 * element type that has no conversion here is listed, and cannot be read; the others can.
 *
 * @see https://github.com/huggingface/safetensors (section "Format", and `SafeTensors::read_metadata`)
 */

/** The contents of a file. */
export interface Safetensors<Tensor = StoredTensor> {
  /** Tensors in the order of their data. */
  readonly tensors: Map<string, Tensor>;
  /** The free text of the header (`__metadata__`). */
  readonly metadata: Record<string, string>;
}

/** The limit of the reference implementation. Headers of known files have less than a megabyte; parsing takes a multiple in memory. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads a whole file.
 *
 * @throws FileFormatError when the file is cut off, its header is not what the format asks for, or offsets, shapes and dtypes
 * contradict each other.
 */
export function readSafetensors(file: Uint8Array): Safetensors {
  const length = headerLength(file.subarray(0, 8), file.length);
  const dataStart = 8 + length;
  const { records, metadata } = parseHeader(file.subarray(8, dataStart), file.length - dataStart);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, begin, end } of records) {
    tensors.set(name, storedTensor(dtype, shape, file.subarray(dataStart + begin, dataStart + end), name));
  }
  return { tensors, metadata };
}

/** Reads a file's header; the tensors are read when they are asked for. @throws FileFormatError as `readSafetensors` */
export async function openSafetensors(source: Source): Promise<Safetensors<FileTensor>> {
  const length = headerLength(await source.read(0, Math.min(8, source.size)), source.size);
  const dataStart = 8 + length;
  const { records, metadata } = parseHeader(await source.read(8, length), source.size - dataStart);
  const tensors = new Map<string, FileTensor>();
  for (const { name, dtype, shape, begin } of records) {
    const unreadable = unreadableDType(dtype);
    if (unreadable !== undefined) {
      const read = async (): Promise<never> => Promise.reject(unreadableTensor(name, unreadable));
      tensors.set(name, { name, dtype, shape, unreadable, read });
      continue;
    }
    const width = storedBytes(dtype);
    const read = (first: number, count: number): Promise<Uint8Array> =>
      readRange(source, dataStart + begin + first * width, count * width, `tensor ${quoted(name)}`);
    tensors.set(name, { name, dtype, shape, read });
  }
  return { tensors, metadata };
}

/** What a file says of a tensor before its bytes. */
export type StoredShape = Pick<StoredEntry, "dtype" | "shape">;

/**
 * What stands before the tensors' bytes, and the order in which these follow: tensors of wide elements come first, so that each one
 * is aligned to its element.
 *
 * @throws Error when a name is taken
 */
export function safetensorsHeader<Entry extends StoredShape>(
  entries: Iterable<readonly [string, Entry]>,
  metadata: Readonly<Record<string, string>> = {},
): { readonly header: Uint8Array; readonly order: readonly (readonly [string, Entry])[]; readonly dataBytes: number } {
  const order = [...entries].sort(([, a], [, b]) => storedBytes(b.dtype) - storedBytes(a.dtype));
  // Without a prototype: a tensor may be called `__proto__`.
  const description: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) description.__metadata__ = metadata;
  let position = 0;
  for (const [name, { dtype, shape }] of order) {
    if (name === "__metadata__" || name in description) throw new Error(`safetensors: the name "${name}" is taken`);
    const end = position + storedSize(name, dtype, shape) * storedBytes(dtype);
    description[name] = { dtype, shape, data_offsets: [position, end] };
    position = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(description));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerBytes), true);
  header.set(text, 8);
  return { header, order, dataBytes: position };
}

/**
 * Writes a whole file.
 *
 * @throws Error when an entry's bytes do not fit its shape and dtype, or a name is taken
 */
export function writeSafetensors(
  entries: Iterable<readonly [string, StoredEntry]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { header, order, dataBytes } = safetensorsHeader(entries, metadata);
  const file = new Uint8Array(header.length + dataBytes);
  file.set(header);
  let offset = header.length;
  for (const [name, { dtype, shape, bytes }] of order) {
    const expected = storedSize(name, dtype, shape) * storedBytes(dtype);
    if (bytes.length !== expected) {
      throw new Error(
        `safetensors: tensor "${name}" ${dtype}[${shape.join(", ")}] needs ${expected} bytes, but has ${bytes.length}`,
      );
    }
    file.set(bytes, offset);
    offset += bytes.length;
  }
  return file;
}

function headerLength(start: Uint8Array, fileSize: number): number {
  if (start.length < 8) fail(`the file has ${fileSize} bytes, too few for a header`);
  const length = Number(new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES)
    fail(
      `the header claims ${length} bytes, more than the ${MAX_HEADER_BYTES} that are allowed: damaged, or not a safetensors file`,
    );
  if (8 + length > fileSize) fail(`the header claims ${length} bytes, but the file has ${fileSize}; it is cut off`);
  return length;
}

interface TensorRecord {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The tensors in the order of their data, which fill it without gaps. */
function parseHeader(
  bytes: Uint8Array,
  dataBytes: number,
): { readonly records: readonly TensorRecord[]; readonly metadata: Record<string, string> } {
  let header: unknown;
  try {
    // A byte order mark is no JSON; the decoder would drop it.
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    fail("the header is not valid JSON");
  }
  if (!isRecord(header)) return fail("the header is not a JSON object");
  const records = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, record]) => readRecord(name, record, dataBytes));
  records.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const { name, begin, end } of records) {
    if (begin < position) fail(`tensor ${quoted(name)} overlaps another one (data at byte ${begin})`);
    if (begin > position) fail(`${begin - position} unused bytes before tensor ${quoted(name)}`);
    position = end;
  }
  if (position !== dataBytes) fail(`the tensors end at byte ${position} of the data, but the file holds ${dataBytes}`);
  return { records, metadata: readMetadata(header.__metadata__) };
}

function readMetadata(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = {};
  if (value === undefined || value === null) return metadata;
  if (!isRecord(value)) return fail("__metadata__ is not an object of strings");
  for (const [key, text] of Object.entries(value)) {
    checkText(key);
    if (typeof text === "string") checkText(text);
    metadata[key] = typeof text === "string" ? text : fail(`__metadata__ ${quoted(key)} is not a string`);
  }
  return metadata;
}

function readRecord(name: string, value: unknown, available: number): TensorRecord {
  const wrong = (problem: string): never => fail(`tensor ${quoted(name)} ${problem}`);
  checkText(name);
  if (!isRecord(value)) return wrong("has no description");
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isStoredDType(dtype)) return wrong(`has dtype ${shown(dtype)}, which is not known`);
  if (!isSizes(shape)) return wrong(`has shape ${shown(shape)}, which is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) return wrong(`has data_offsets ${shown(offsets)}`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) return wrong(`begins at byte ${begin} and ends before it at ${end}`);
  if (end > available) return wrong(`ends at byte ${end} of the data, but the file holds ${available}; it is cut off`);
  const expected = storedSize(name, dtype, shape) * storedBytes(dtype);
  if (end - begin !== expected) {
    return wrong(`${dtype}[${shape.join(", ")}] needs ${expected} bytes, but its offsets hold ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

/** A value of the header as a message may show it: what is nested may be so without end. */
function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.slice(0, 8).map((item) => (isPlain(item) ? shown(item) : "..."))}]`;
  return isPlain(value) ? String(value) : "{...}";
}

function isPlain(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

/** JavaScript's strings may hold half a character (`\ud800`), which is no text. */
function checkText(text: string): void {
  if (/\p{Surrogate}/u.test(text)) fail(`${quoted(text)} holds half a character`);
}

function fail(problem: string): never {
  throw new FileFormatError(`safetensors: ${problem}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0));
}
