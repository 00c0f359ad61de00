import { fromHalf } from "../dtype.ts";

/**
 * Reading and writing safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes, little-endian,
 * without gaps. Nothing in a file is executed, and everything that its header claims is checked before it is used.
 *
 * @see https://github.com/huggingface/safetensors (section "Format")
 */

const BYTES_PER_ELEMENT = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** Element types of a file. */
export type StoredDType = keyof typeof BYTES_PER_ELEMENT;

/** One tensor of a file: what is written. */
export interface StoredEntry {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Row-major elements, little-endian. */
  readonly bytes: Uint8Array;
}

/** One tensor of a file: what is read. The conversions copy; `bytes` is a view of the file. */
export interface StoredTensor extends StoredEntry {
  /** The values rounded to f32. */
  toFloat32(): Float32Array;
  /** The values exactly. Throws for 64-bit integers beyond 2^53. */
  toFloat64(): Float64Array;
  /** The values as 32-bit integers. Throws for floating dtypes and for values out of range. */
  toInt32(): Int32Array;
}

/** The contents of a file. */
export interface Safetensors {
  /** Tensors in the order of their data. */
  readonly tensors: Map<string, StoredTensor>;
  /** The free text of the header (`__metadata__`). */
  readonly metadata: Record<string, string>;
}

const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads a whole file.
 *
 * Throws an `Error` of one line when the file is cut off, its header is not what the format asks for, or offsets, shapes and dtypes
 * contradict each other.
 */
export function readSafetensors(file: Uint8Array): Safetensors {
  const { header, dataStart } = readHeader(file);
  const metadata = readMetadata(header.__metadata__);
  const data = file.subarray(dataStart);
  const records = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, record]) => readRecord(name, record, data.length));
  records.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const { name, begin, end } of records) {
    if (begin < position) throw new Error(`safetensors: tensor "${name}" overlaps another one (data at byte ${begin})`);
    if (begin > position) throw new Error(`safetensors: ${begin - position} unused bytes before tensor "${name}"`);
    position = end;
  }
  if (position !== data.length) {
    throw new Error(`safetensors: the tensors end at byte ${position} of the data, but the file holds ${data.length}`);
  }
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, begin, end } of records) {
    tensors.set(name, storedTensor(dtype, shape, data.subarray(begin, end), name));
  }
  return { tensors, metadata };
}

/**
 * Writes a whole file. Tensors of wide elements come first, so that each one is aligned to its element.
 *
 * Throws an `Error` when an entry's bytes do not fit its shape and dtype.
 */
export function writeSafetensors(
  entries: Iterable<readonly [string, StoredEntry]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const sorted = [...entries].sort(([, a], [, b]) => BYTES_PER_ELEMENT[b.dtype] - BYTES_PER_ELEMENT[a.dtype]);
  // Without a prototype: a tensor may be called `__proto__`.
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let position = 0;
  for (const [name, entry] of sorted) {
    if (name === "__metadata__" || name in header) throw new Error(`safetensors: the name "${name}" is taken`);
    const expected = byteLength(name, entry.dtype, entry.shape);
    if (entry.bytes.length !== expected) {
      throw new Error(
        `safetensors: tensor "${name}" ${entry.dtype}[${entry.shape.join(", ")}] needs ${expected} bytes, but has ${entry.bytes.length}`,
      );
    }
    header[name] = { dtype: entry.dtype, shape: entry.shape, data_offsets: [position, position + expected] };
    position += expected;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + position);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(text, 8);
  let offset = 8 + headerBytes;
  for (const [, entry] of sorted) {
    file.set(entry.bytes, offset);
    offset += entry.bytes.length;
  }
  return file;
}

/** Makes an entry to write from host values: floats become F32 (F64 if asked by type), integers keep their type. */
export function storedEntry(
  data: Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array | BigInt64Array,
  shape: readonly number[],
): StoredEntry {
  const dtype = entryDType(data);
  return { dtype, shape: [...shape], bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

function entryDType(data: ArrayBufferView): StoredDType {
  if (data instanceof Float64Array) return "F64";
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof Uint32Array) return "U32";
  return data instanceof BigInt64Array ? "I64" : "U8";
}

function readHeader(file: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (file.length < 8) throw new Error(`safetensors: the file has ${file.length} bytes, too few for a header`);
  const length = Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    throw new Error(`safetensors: the header claims ${length} bytes; this is not a safetensors file`);
  }
  if (8 + length > file.length) {
    throw new Error(`safetensors: the header claims ${length} bytes, but the file has ${file.length}; it is cut off`);
  }
  let header: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + length));
    header = JSON.parse(text);
  } catch {
    throw new Error("safetensors: the header is not valid JSON");
  }
  if (!isRecord(header)) throw new Error("safetensors: the header is not a JSON object");
  return { header, dataStart: 8 + length };
}

function readMetadata(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = {};
  if (value === undefined) return metadata;
  if (!isRecord(value)) throw new Error("safetensors: __metadata__ is not an object of strings");
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw new Error(`safetensors: __metadata__ "${key}" is not a string`);
    metadata[key] = text;
  }
  return metadata;
}

interface TensorRecord {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readRecord(name: string, value: unknown, available: number): TensorRecord {
  const fail = (problem: string): never => {
    throw new Error(`safetensors: tensor "${name}" ${problem}`);
  };
  if (!isRecord(value)) return fail("has no description");
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDType(dtype)) return fail(`has dtype ${JSON.stringify(dtype)}, which is not known`);
  if (!isSizes(shape)) return fail(`has shape ${JSON.stringify(shape)}, which is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) return fail(`has data_offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) return fail(`begins at byte ${begin} and ends before it at ${end}`);
  if (end > available) return fail(`ends at byte ${end} of the data, but the file holds ${available}; it is cut off`);
  const expected = byteLength(name, dtype, shape);
  if (end - begin !== expected) {
    return fail(`${dtype}[${shape.join(", ")}] needs ${expected} bytes, but its offsets hold ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

function byteLength(name: string, dtype: StoredDType, shape: readonly number[]): number {
  const bytes = shape.reduce((product, size) => product * size, BYTES_PER_ELEMENT[dtype]);
  if (!Number.isSafeInteger(bytes)) throw new Error(`safetensors: tensor "${name}" has an impossible size`);
  return bytes;
}

function storedTensor(dtype: StoredDType, shape: readonly number[], bytes: Uint8Array, name: string): StoredTensor {
  return {
    dtype,
    shape,
    bytes,
    toFloat32: () => {
      const values = nativeValues(dtype, bytes);
      return values instanceof Float32Array ? values : Float32Array.from(exactValues(values, name));
    },
    toFloat64: () => Float64Array.from(exactValues(nativeValues(dtype, bytes), name)),
    toInt32: () => {
      if (dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16") {
        throw new Error(`safetensors: tensor "${name}" is ${dtype}, but integers are expected`);
      }
      const values = exactValues(nativeValues(dtype, bytes), name);
      return Int32Array.from(values, (value) => {
        if ((value | 0) !== value) throw new Error(`safetensors: tensor "${name}" holds ${value}, beyond 32 bits`);
        return value;
      });
    },
  };
}

type NativeValues =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | BigInt64Array
  | BigUint64Array;

/** A copy of the elements. Every host that runs JavaScript with WebGPU is little-endian, like the file. */
function nativeValues(dtype: StoredDType, bytes: Uint8Array): NativeValues {
  // Not `bytes.slice()`: of a Node Buffer that is a view of a larger pool.
  const buffer = new Uint8Array(bytes).buffer;
  switch (dtype) {
    case "F64":
      return new Float64Array(buffer);
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return Float32Array.from(new Uint16Array(buffer), fromHalf);
    case "BF16":
      // The upper half of an f32.
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    case "I64":
      return new BigInt64Array(buffer);
    case "U64":
      return new BigUint64Array(buffer);
    case "I32":
      return new Int32Array(buffer);
    case "U32":
      return new Uint32Array(buffer);
    case "I16":
      return new Int16Array(buffer);
    case "U16":
      return new Uint16Array(buffer);
    case "I8":
      return new Int8Array(buffer);
    case "U8":
      return new Uint8Array(buffer);
    case "BOOL":
      return Uint8Array.from(new Uint8Array(buffer), (value) => (value ? 1 : 0));
  }
}

function exactValues(values: NativeValues, name: string): ArrayLike<number> {
  if (!(values instanceof BigInt64Array || values instanceof BigUint64Array)) return values;
  const exact = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]!);
    if (!Number.isSafeInteger(value)) throw new Error(`safetensors: tensor "${name}" holds ${values[i]!}, beyond 2^53`);
    exact[i] = value;
  }
  return exact;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDType(value: unknown): value is StoredDType {
  return typeof value === "string" && Object.hasOwn(BYTES_PER_ELEMENT, value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
