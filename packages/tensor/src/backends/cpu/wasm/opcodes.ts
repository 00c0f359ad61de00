/*
 * Opcodes of the WebAssembly core specification (section 5.4) that become methods of values, by the methods' names. Those of SIMD
 * stand here with 0x1000 added: in the binary format they follow a prefix byte.
 */

/** What marks an opcode of SIMD. */
export const SIMD = 0x1000;

/** Of two 32-bit numbers, signed (S) or unsigned (U). */
export const I32_BINARY = {
  add: 0x6a,
  sub: 0x6b,
  mul: 0x6c,
  divS: 0x6d,
  divU: 0x6e,
  remU: 0x70,
  and: 0x71,
  or: 0x72,
  xor: 0x73,
  shl: 0x74,
  shrS: 0x75,
  shrU: 0x76,
  eq: 0x46,
  ne: 0x47,
  ltS: 0x48,
  ltU: 0x49,
  gtS: 0x4a,
  gtU: 0x4b,
  leS: 0x4c,
  leU: 0x4d,
  geS: 0x4e,
  geU: 0x4f,
} as const;
/** Of two floats. */
export const F32_ARITHMETIC = { add: 0x92, sub: 0x93, mul: 0x94, div: 0x95, min: 0x96, max: 0x97 } as const;
/** Of two floats, 0 or 1. */
export const F32_COMPARISON = { eq: 0x5b, ne: 0x5c, lt: 0x5d, gt: 0x5e, le: 0x5f, ge: 0x60 } as const;
/** Of one float. */
export const F32_UNARY = { abs: 0x8b, neg: 0x8c, floor: 0x8e, sqrt: 0x91 } as const;
/** `a.notAbove(b)` is `a > b ? b : a`, `notBelow` its mirror: one instruction where `min` is nine. A NaN on the left stays. */
export const F32X4_ARITHMETIC = {
  add: 0x10e4,
  sub: 0x10e5,
  mul: 0x10e6,
  div: 0x10e7,
  min: 0x10e8,
  max: 0x10e9,
  notAbove: 0x10ea,
  notBelow: 0x10eb,
} as const;
/** Of two vectors of floats, masks. */
export const F32X4_COMPARISON = { eq: 0x1041, ne: 0x1042, lt: 0x1043, gt: 0x1044, le: 0x1045, ge: 0x1046 } as const;
/** Of one vector of floats. */
export const F32X4_UNARY = {
  abs: 0x10e0,
  neg: 0x10e1,
  sqrt: 0x10e3,
  ceil: 0x1067,
  floor: 0x1068,
  trunc: 0x1069,
  nearest: 0x106a,
} as const;
/** Conversions cut towards zero and stop at the ends of the range. */
export const F32X4_TO_I32 = { toI32: 0x10f8, toU32: 0x10f9 } as const;
/** Of two vectors of whole numbers. */
export const I32X4_BINARY = {
  add: 0x10ae,
  sub: 0x10b1,
  mul: 0x10b5,
  minS: 0x10b6,
  minU: 0x10b7,
  maxS: 0x10b8,
  maxU: 0x10b9,
  eq: 0x1037,
  ne: 0x1038,
  ltS: 0x1039,
  ltU: 0x103a,
  gtS: 0x103b,
  gtU: 0x103c,
  leS: 0x103d,
  leU: 0x103e,
  geS: 0x103f,
  geU: 0x1040,
  and: 0x104e,
  or: 0x1050,
  xor: 0x1051,
  narrowU: 0x1086,
  productLow: 0x10de,
  productHigh: 0x10df,
} as const;
/** Of a vector and a number of bits. */
export const I32X4_SHIFT = { shl: 0x10ab, shrS: 0x10ac, shrU: 0x10ad } as const;
/** Of one vector of whole numbers. */
export const I32X4_UNARY = { not: 0x104d, abs: 0x10a0, neg: 0x10a1 } as const;
/** Conversions, signed and unsigned. */
export const I32X4_TO_F32 = { toF32: 0x10fa, toF32U: 0x10fb } as const;
/** Of two vectors of doubles. */
export const F64X2_BINARY = { add: 0x10f0, sub: 0x10f1, mul: 0x10f2, div: 0x10f3, min: 0x10f4, max: 0x10f5 } as const;
