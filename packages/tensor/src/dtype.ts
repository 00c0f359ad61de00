/** Element types on the device. `bool` is stored as a 32-bit 0 or 1. */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

export const DTYPES: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];

/** What a tensor can be made from on the host. */
export type Data =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | readonly number[];

/** What reading a tensor gives: floats for f32 and f16, integers else; bool reads as 0 and 1. */
export type HostArray = Float32Array | Int32Array | Uint32Array;

const BYTES: Record<DType, number> = { f32: 4, f16: 2, i32: 4, u32: 4, bool: 4 };

/** Bytes that one element takes on the device. */
export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}

export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}

/** True for signed and unsigned whole numbers; truth values are none. */
export function isWhole(dtype: DType): dtype is "i32" | "u32" {
  return dtype === "i32" || dtype === "u32";
}

/** The smallest and the largest whole number of a dtype. */
const ENDS = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/** Whether a whole number is one of a dtype's. */
export function fits(value: number, dtype: "i32" | "u32"): boolean {
  return value >= ENDS[dtype][0] && value <= ENDS[dtype][1];
}

/** A number as a cast to whole numbers makes it: cut towards zero, NaN is 0, what is out of range the nearest end. */
export function toWhole(value: number, dtype: "i32" | "u32"): number {
  const [least, most] = ENDS[dtype];
  return Number.isNaN(value) ? 0 : Math.trunc(Math.min(most, Math.max(least, value)));
}

/**
 * The type of a result of two operands: float wins over integer, integer over bool, f32 over f16. Undefined for i32 and u32, which have no
 * common type of 32 bits.
 */
export function promote(a: DType, b: DType): DType | undefined {
  if (a === b) return a;
  if (isWhole(a) && isWhole(b)) return undefined;
  const order: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];
  return order.find((dtype) => dtype === a || dtype === b);
}

/** The dtype that host data becomes when none is asked for. */
export function defaultDType(data: Data | number): DType {
  if (data instanceof Int32Array) return "i32";
  return data instanceof Uint32Array ? "u32" : "f32";
}

const halfScratch = new Float32Array(1);
const halfBits = new Uint32Array(halfScratch.buffer);

/** One f32 as the bits of the nearest f16, ties to even; too large becomes infinity. */
export function toHalf(value: number): number {
  halfScratch[0] = value;
  const bits = halfBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: in units of 2^-24; adding and subtracting 2^23 rounds an f32 to an integer, ties to even.
    halfScratch[0] = Math.abs(value) * 2 ** 24 + 2 ** 23;
    return sign | (halfScratch[0] - 2 ** 23);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The f32 value of f16 bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Host data as the device stores it: the bytes of `dtype`, by the rules of `cast` in ops/pointwise.ts. */
export function encode(data: Data, dtype: DType): Uint8Array {
  const typed = encodeTyped(data, dtype);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

/** Host data as numbers of a dtype; the same array where it holds such. */
export function encodeTyped(data: Data, dtype: "i32" | "u32"): Int32Array | Uint32Array;
export function encodeTyped(data: Data, dtype: DType): Float32Array | Uint16Array | Int32Array | Uint32Array;
export function encodeTyped(data: Data, dtype: DType): Float32Array | Uint16Array | Int32Array | Uint32Array {
  switch (dtype) {
    case "f32":
      return data instanceof Float32Array ? data : Float32Array.from(data);
    case "f16":
      return Uint16Array.from(data, toHalf);
    case "i32":
      if (data instanceof Int32Array) return data;
      if (data instanceof Uint32Array) return new Int32Array(data.buffer, data.byteOffset, data.length);
      return Int32Array.from(data, (value) => toWhole(value, "i32"));
    case "u32":
      if (data instanceof Uint32Array) return data;
      // The bits of negative whole numbers; of floats there are none below 0.
      if (isIntegers(data)) return Uint32Array.from(data);
      return Uint32Array.from(data, (value) => toWhole(value, "u32"));
    case "bool":
      // A NaN is not 0.
      return Uint32Array.from(data, (value) => (value === 0 ? 0 : 1));
  }
}

function isIntegers(data: Data): boolean {
  return !(Array.isArray(data) || data instanceof Float32Array || data instanceof Float64Array);
}

/** Bytes read from the device as numbers. */
export function decode(bytes: ArrayBuffer, dtype: DType, count: number): HostArray {
  if (dtype === "f16") return Float32Array.from(new Uint16Array(bytes, 0, count), fromHalf);
  if (dtype === "f32") return new Float32Array(bytes, 0, count);
  return dtype === "i32" ? new Int32Array(bytes, 0, count) : new Uint32Array(bytes, 0, count);
}
