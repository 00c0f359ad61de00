import type { DType } from "../../src/dtype.ts";
import type { NdArray } from "../../src/testing.ts";

/** Numbers of each dtype, by PyTorch's definitions, on plain arrays. Nothing here calls the engine. */

export const DTYPES: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];
export const isFloat = (dtype: DType): boolean => dtype === "f32" || dtype === "f16";
export const isWhole = (dtype: DType): boolean => dtype === "i32" || dtype === "u32";

/** An array of one dtype; every element is a number of it. */
export interface Typed extends NdArray {
  readonly dtype: DType;
}

function tiesToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** To the nearest f16, by its definition: 11 binary digits, steps of 2^-24 at least, infinite from 65520 on. */
export function half(value: number): number {
  const x = Math.fround(value);
  if (!Number.isFinite(x) || x === 0) return x;
  let exponent = -14;
  while (exponent < 16 && Math.abs(x) >= 2 ** (exponent + 1)) exponent++;
  const step = 2 ** (exponent - 10);
  const rounded = tiesToEven(Math.abs(x) / step) * step;
  return Math.sign(x) * (rounded > 65504 ? Number.POSITIVE_INFINITY : rounded);
}

/** A real number as one of a dtype. Whole results wrap around at 32 bits. */
export function result(value: number, dtype: DType): number {
  if (dtype === "f32") return Math.fround(value);
  if (dtype === "f16") return half(value);
  if (dtype === "i32") return Number(BigInt.asIntN(32, BigInt(value)));
  return dtype === "u32" ? Number(BigInt.asUintN(32, BigInt(value))) : Number(value !== 0);
}

/** A cast: floats are cut towards zero and at the ends of whole numbers, whose bits are kept among each other. */
export function cast(value: number, from: DType, to: DType): number {
  if (to === "bool") return value === 0 ? 0 : 1;
  if (!isWhole(to) || !isFloat(from)) return result(value, to);
  const [least, most] = to === "i32" ? [-2147483648, 2147483647] : [0, 4294967295];
  if (Number.isNaN(value)) return 0;
  return value <= least ? least : value >= most ? most : Math.trunc(value);
}

/** The common type of tensors; undefined where PyTorch has none. */
export function common(...dtypes: readonly DType[]): DType | undefined {
  if (dtypes.includes("i32") && dtypes.includes("u32") && !dtypes.some(isFloat)) return undefined;
  return DTYPES.find((dtype) => dtypes.includes(dtype));
}

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const SPECIAL: Readonly<Record<DType, readonly number[]>> = {
  f32: [0, 1, -1, 0.5, -2.5, 3.5, 1e-3, 40000.3, -7.75, 3e9, -3e9, 6e-8, nan, inf, -inf, 16777216],
  f16: [0, 1, -1, 0.5, -2.5, 3.5, 2 ** -10, 40000, -7.75, 65504, -65504, 2 ** -24, nan, inf, -inf, 2049],
  i32: [0, 1, -1, 2, -3, 7, 300, 16777217, -16777219, 2147483647, -2147483648, 123456789],
  u32: [0, 1, 2, 3, 7, 300, 16777217, 2147483647, 2147483649, 4294967295, 123456789, 65536],
  bool: [0, 1],
};

/** Numbers that find mistakes, in one row. */
export function special(dtype: DType): Typed {
  const data = SPECIAL[dtype];
  return {
    dtype,
    shape: [data.length],
    data: Float64Array.from(data, (value) => (isFloat(dtype) ? result(value, dtype) : value)),
  };
}

/** Small numbers, every dtype's own, of any shape. */
export function small(dtype: DType, shape: readonly number[], seed = 1): Typed {
  const size = shape.reduce((a, b) => a * b, 1);
  let state = seed * 7919;
  const next = (): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  };
  const draw = (): number => {
    if (dtype === "bool") return Number(next() < 0.5);
    if (isWhole(dtype)) return Math.floor(next() * 9) - (dtype === "i32" ? 4 : 0);
    return result(4 * next() - 2, dtype);
  };
  return { dtype, shape, data: Float64Array.from({ length: size }, draw) };
}

/** An array of another dtype. */
export function castTo(x: NdArray, from: DType, to: DType): Typed {
  return { dtype: to, shape: x.shape, data: x.data.map((value) => cast(value, from, to)) };
}
