import { fromHalf, toHalf } from "../dtype.ts";
import { fromFloat8 } from "./float8.ts";
import { FileFormatError, quoted } from "./source.ts";

/** The tensors of files: bytes with a dtype and a shape, and their values as the host's numbers. */

/** Bits of an element, by the names of the safetensors format (`Dtype` of its reference implementation, 0.8). */
const SAFETENSORS_BITS = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  C64: 64,
  I64: 64,
  U64: 64,
  I32: 32,
  U32: 32,
  I16: 16,
  U16: 16,
  I8: 8,
  U8: 8,
  BOOL: 8,
} as const;

/** And complex numbers that only PyTorch's files have. */
const BITS = { ...SAFETENSORS_BITS, C32: 32, C128: 128 } as const;

/** Element types of a file, by the names of the safetensors format. */
export type StoredDType = keyof typeof BITS;

/** Element types that become no numbers of ours, and what to do. */
const UNREADABLE = {
  F6_E2M3: packed("F6_E2M3"),
  F6_E3M2: packed("F6_E3M2"),
  F4: packed("F4"),
  C32: complex("C32"),
  C64: complex("C64"),
  C128: complex("C128"),
} as const;

function packed(dtype: StoredDType): string {
  return `its elements are ${dtype}, parts of bytes: convert it to F16 or F32 with what wrote it`;
}

function complex(dtype: StoredDType): string {
  return `it holds complex numbers (${dtype}): save their real and imaginary parts as two tensors`;
}

/** One tensor of a file: what is written. */
export interface StoredEntry {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Row-major elements, little-endian. */
  readonly bytes: Uint8Array;
}

/** One tensor of a file: what is read. The conversions copy; `bytes` is a view of the file. */
export interface StoredTensor extends StoredEntry {
  /** Why it cannot be converted, and what to do; every conversion throws that. */
  readonly unreadable?: string;
  /** The values rounded to f32. */
  toFloat32(): Float32Array;
  /** The values rounded to f16, as its bits; what is too large becomes infinite. */
  toFloat16(): Uint16Array;
  /** The values exactly. Throws for 64-bit integers beyond 2^53. */
  toFloat64(): Float64Array;
  /** The values as 32-bit integers. Throws for floating dtypes and for values out of range. */
  toInt32(): Int32Array;
  /** The values as 64-bit integers. Throws for floating dtypes; of U64, values from 2^63 on wrap around. */
  toBigInt64(): BigInt64Array;
}

/** One tensor of a file that is still there. */
export interface FileTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Why its values cannot be read, and what to do: `read` throws that. The rest of the file can be. */
  readonly unreadable?: string;
  /** The bytes of `count` row-major elements from `first` on, little-endian. @throws FileFormatError when the file is damaged */
  readonly read: (first: number, count: number) => Promise<Uint8Array>;
}

/** Bytes of one element; a fraction where several share a byte. */
export function storedBytes(dtype: StoredDType): number {
  return BITS[dtype] / 8;
}

/** Whether `value` names an element type of the safetensors format. */
export function isStoredDType(value: unknown): value is StoredDType {
  return typeof value === "string" && Object.hasOwn(SAFETENSORS_BITS, value);
}

/** Whether the elements are floating-point numbers. */
export function isStoredFloat(dtype: StoredDType): boolean {
  return /^B?F\d/.test(dtype);
}

/** Why elements of this type cannot be read, and what to do; undefined where they can. */
export function unreadableDType(dtype: StoredDType): string | undefined {
  return Object.hasOwn(UNREADABLE, dtype) ? UNREADABLE[dtype as keyof typeof UNREADABLE] : undefined;
}

/** The error of a tensor that cannot be read. */
export function unreadableTensor(name: string, why: string): FileFormatError {
  return new FileFormatError(`tensor ${quoted(name)} cannot be read: ${why}`);
}

/** Number of elements of a shape that a file claims. @throws FileFormatError naming the tensor when it is beyond counting */
export function storedSize(name: string, dtype: StoredDType, shape: readonly number[]): number {
  let size = 1;
  for (const axis of shape) {
    size *= axis;
    // At each step, so that a zero at the end excuses nothing.
    if (!Number.isSafeInteger(size * BITS[dtype])) {
      throw new FileFormatError(`tensor ${quoted(name)} has an impossible size: ${dtype}[${shape.join(", ")}]`);
    }
  }
  return size;
}

/** A whole tensor of a file. */
export async function readTensor({ name, dtype, shape, read }: FileTensor): Promise<StoredTensor> {
  return storedTensor(dtype, shape, await read(0, storedSize(name, dtype, shape)), name);
}

/** Bytes of a tensor that are read at a time where it need not be whole. */
const PART_BYTES = 2 * 2 ** 20;

/** A tensor of a file in pieces of a few megabytes: each a flat tensor and the place of its first element. */
export async function* readParts({ name, dtype, shape, read }: FileTensor): AsyncGenerator<[number, StoredTensor]> {
  const size = storedSize(name, dtype, shape);
  const step = Math.floor(PART_BYTES / storedBytes(dtype));
  for (let first = 0; first < size; first += step) {
    const count = Math.min(step, size - first);
    yield [first, storedTensor(dtype, [count], await read(first, count), name)];
  }
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

/** A tensor over the bytes of a file. */
export function storedTensor(
  dtype: StoredDType,
  shape: readonly number[],
  bytes: Uint8Array,
  name: string,
): StoredTensor {
  const unreadable = unreadableDType(dtype);
  const native = (): NativeValues => nativeValues(dtype, bytes, name);
  const integers = (): Exclude<NativeValues, Float64Array | Float32Array> => {
    const values = native();
    if (values instanceof Float64Array || values instanceof Float32Array) {
      throw new FileFormatError(`tensor ${quoted(name)} is ${dtype}, but integers are expected`);
    }
    return values;
  };
  const toFloat32 = (): Float32Array => {
    const values = native();
    return values instanceof Float32Array ? values : new Float32Array(exactValues(values, name));
  };
  return {
    dtype,
    shape,
    bytes,
    ...(unreadable === undefined ? {} : { unreadable }),
    toFloat32,
    toFloat16: () => halves(toFloat32()),
    toFloat64: () => Float64Array.from(exactValues(native(), name)),
    toInt32: () =>
      Int32Array.from(exactValues(integers(), name), (value) => {
        if ((value | 0) !== value) throw new FileFormatError(`tensor ${quoted(name)} holds ${value}, beyond 32 bits`);
        return value;
      }),
    toBigInt64: () => {
      const values = integers();
      if (values instanceof BigInt64Array || values instanceof BigUint64Array) return BigInt64Array.from(values);
      return BigInt64Array.from(values, BigInt);
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
function nativeValues(dtype: StoredDType, bytes: Uint8Array, name: string): NativeValues {
  // Not `bytes.slice()`: of a Node Buffer that is a view of a larger pool.
  const buffer = new Uint8Array(bytes).buffer;
  switch (dtype) {
    case "F64":
      return new Float64Array(buffer);
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return fromHalves(new Uint16Array(buffer));
    case "BF16": {
      // The upper half of an f32.
      const bits = new Uint32Array(new Uint16Array(buffer));
      for (let i = 0; i < bits.length; i++) bits[i]! <<= 16;
      return new Float32Array(bits.buffer);
    }
    case "F8_E4M3":
    case "F8_E5M2":
    case "F8_E8M0":
    case "F8_E4M3FNUZ":
    case "F8_E5M2FNUZ":
      return fromFloat8(dtype, new Uint8Array(buffer));
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
    case "F6_E2M3":
    case "F6_E3M2":
    case "F4":
    case "C32":
    case "C64":
    case "C128":
      throw unreadableTensor(name, UNREADABLE[dtype]);
  }
}

let halfValues: Float32Array | undefined;

/** By a table of all 65 536 values: files have hundreds of millions of them. */
function fromHalves(bits: Uint16Array): Float32Array {
  halfValues ??= Float32Array.from({ length: 65536 }, (_, half) => fromHalf(half));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halfValues[bits[i]!]!;
  return values;
}

/** `toHalf` of each value, with its branch for normal numbers in the loop. */
function halves(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    result[i] =
      magnitude >= 0x38800000 && magnitude < 0x477ff000
        ? ((bits[i]! >>> 16) & 0x8000) | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13)
        : toHalf(values[i]!);
  }
  return result;
}

function exactValues(values: NativeValues, name: string): ArrayLike<number> {
  if (!(values instanceof BigInt64Array || values instanceof BigUint64Array)) return values;
  const exact = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]!);
    if (!Number.isSafeInteger(value)) {
      throw new FileFormatError(`tensor ${quoted(name)} holds ${values[i]!}, beyond 2^53`);
    }
    exact[i] = value;
  }
  return exact;
}
