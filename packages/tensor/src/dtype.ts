/** Element types on the device. `bool` is stored as a 32-bit 0 or 1. */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

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

/** Nested arrays of numbers, all of one length at each depth. */
export type NestedData = readonly (number | ArrayLike<number> | NestedData)[];

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

/** The type of a result of two operands: float wins over integer, integer over bool, f32 over f16, i32 over u32. */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  const order: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];
  return order.find((dtype) => dtype === a || dtype === b) ?? "f32";
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

/** Host data as the device stores it: the bytes of `dtype`. */
export function encode(data: Data, dtype: DType): Uint8Array {
  const typed = encodeTyped(data, dtype);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

function encodeTyped(data: Data, dtype: DType): Float32Array | Uint16Array | Int32Array | Uint32Array {
  switch (dtype) {
    case "f32":
      return data instanceof Float32Array ? data : Float32Array.from(data);
    case "f16":
      return Uint16Array.from(data, toHalf);
    case "i32":
      return data instanceof Int32Array ? data : Int32Array.from(data);
    case "u32":
      return data instanceof Uint32Array ? data : Uint32Array.from(data);
    case "bool":
      return Uint32Array.from(data, (value) => (value ? 1 : 0));
  }
}

/** Bytes read from the device as numbers. */
export function decode(bytes: ArrayBuffer, dtype: DType, count: number): HostArray {
  if (dtype === "f16") return Float32Array.from(new Uint16Array(bytes, 0, count), fromHalf);
  if (dtype === "f32") return new Float32Array(bytes, 0, count);
  return dtype === "i32" ? new Int32Array(bytes, 0, count) : new Uint32Array(bytes, 0, count);
}
