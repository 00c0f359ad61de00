import { signed, unsigned, VALUE_TYPE, type ValueType } from "./module.ts";

/*
 * Typed expressions over WebAssembly's stack machine: a value is the code that leaves it on the stack. Every operation is a
 * method of its operand's type, so that code that would not validate does not compile. F32x4, I32x4, I64x2 and F64x2 are views
 * of the one type v128. A value is evaluated where it is used, as often as it is used: `FunctionBuilder.let` keeps one.
 */

/** Code that leaves one value on the stack. */
export abstract class Value {
  readonly code: readonly number[];
  /** The number of the local, for a value that is one. */
  readonly local: number | undefined;
  abstract readonly type: ValueType;

  constructor(code: readonly number[], local?: number) {
    this.code = code;
    this.local = local;
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function f32Bytes(value: number): number[] {
  scratch.setFloat32(0, value, true);
  return Array.from({ length: 4 }, (_, i) => scratch.getUint8(i));
}

function f64Bytes(value: number): number[] {
  scratch.setFloat64(0, value, true);
  return Array.from({ length: 8 }, (_, i) => scratch.getUint8(i));
}

function simd(op: number): number[] {
  return [0xfd, ...unsigned(op)];
}

function memory(op: readonly number[], align: number, offset: number): number[] {
  return [...op, align, ...unsigned(offset)];
}

/** Terms that a method takes: values, or numbers that become constants. */
export type I32Term = I32 | number;
export type F32Term = F32 | number;
export type F32x4Term = F32x4 | number;
export type I32x4Term = I32x4 | number;
export type F64x2Term = F64x2 | number;

/** A constant, or the value itself. */
export function i32(x: I32Term): I32 {
  return typeof x === "number" ? new I32([0x41, ...signed(x)]) : x;
}

export function f32(x: F32Term): F32 {
  return typeof x === "number" ? new F32([0x43, ...f32Bytes(x)]) : x;
}

export function f32x4(x: F32x4Term): F32x4 {
  if (typeof x !== "number") return x;
  const bytes = f32Bytes(x);
  return new F32x4([...simd(0x0c), ...bytes, ...bytes, ...bytes, ...bytes]);
}

export function i32x4(x: I32x4Term): I32x4 {
  return typeof x === "number" ? lanes(x, x, x, x) : x;
}

export function f64x2(x: F64x2Term): F64x2 {
  return typeof x === "number" ? new F64x2([...simd(0x0c), ...f64Bytes(x), ...f64Bytes(x)]) : x;
}

/** Four whole numbers. */
export function lanes(...values: readonly [number, number, number, number]): I32x4 {
  const bytes = values.flatMap((v) => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255]);
  return new I32x4([...simd(0x0c), ...bytes]);
}

/** A 32-bit number, signed or not as the operation says; also an address. */
export class I32 extends Value {
  readonly type = "i32";

  add(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x6a]);
  }

  sub(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x6b]);
  }

  mul(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x6c]);
  }

  divS(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x6d]);
  }

  divU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x6e]);
  }

  remU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x70]);
  }

  and(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x71]);
  }

  or(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x72]);
  }

  xor(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x73]);
  }

  shl(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x74]);
  }

  shrS(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x75]);
  }

  shrU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x76]);
  }

  eq(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x46]);
  }

  ne(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x47]);
  }

  ltS(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x48]);
  }

  ltU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x49]);
  }

  gtS(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x4a]);
  }

  gtU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x4b]);
  }

  leS(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x4c]);
  }

  leU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x4d]);
  }

  geS(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x4e]);
  }

  geU(b: I32Term): I32 {
    return new I32([...this.code, ...i32(b).code, 0x4f]);
  }

  eqz(): I32 {
    return new I32([...this.code, 0x45]);
  }

  toF32(): F32 {
    return new F32([...this.code, 0xb2]);
  }

  toF32U(): F32 {
    return new F32([...this.code, 0xb3]);
  }

  bitsToF32(): F32 {
    return new F32([...this.code, 0xbe]);
  }

  toI64U(): I64 {
    return new I64([...this.code, 0xad]);
  }

  splat(): I32x4 {
    return new I32x4([...this.code, ...simd(0x11)]);
  }

  /** `this ? a : b`; both are evaluated. */
  select<V extends Value>(a: V, b: V): V {
    const Type = a.constructor as new (code: readonly number[]) => V;
    return new Type([...a.code, ...b.code, ...this.code, 0x1c, 1, VALUE_TYPE[a.type]]);
  }

  /** The smaller of two unsigned numbers; evaluates both twice. */
  minU(b: I32Term): I32 {
    const other = i32(b);
    return this.ltU(other).select(this, other);
  }

  // Loads from the address that this is.

  i32(offset = 0): I32 {
    return new I32([...this.code, ...memory([0x28], 2, offset)]);
  }

  f32(offset = 0): F32 {
    return new F32([...this.code, ...memory([0x2a], 2, offset)]);
  }

  u8(offset = 0): I32 {
    return new I32([...this.code, ...memory([0x2d], 0, offset)]);
  }

  u16(offset = 0): I32 {
    return new I32([...this.code, ...memory([0x2f], 1, offset)]);
  }

  f32x4(offset = 0): F32x4 {
    return new F32x4([...this.code, ...memory([0xfd, 0x00], 0, offset)]);
  }

  i32x4(offset = 0): I32x4 {
    return new I32x4([...this.code, ...memory([0xfd, 0x00], 0, offset)]);
  }

  splatF32(offset = 0): F32x4 {
    return new F32x4([...this.code, ...memory([0xfd, 0x09], 0, offset)]);
  }

  splatI32(offset = 0): I32x4 {
    return new I32x4([...this.code, ...memory([0xfd, 0x09], 0, offset)]);
  }

  splat16(offset = 0): I32x4 {
    return new I32x4([...this.code, ...memory([0xfd, 0x08], 0, offset)]);
  }

  loadF32(offset = 0): F32x4 {
    return new F32x4([...this.code, ...memory([0xfd, 0x5c], 0, offset)]);
  }

  load64(offset = 0): I32x4 {
    return new I32x4([...this.code, ...memory([0xfd, 0x5d], 0, offset)]);
  }

  loadU16x4(offset = 0): I32x4 {
    return new I32x4([...this.code, ...memory([0xfd, 0x04], 0, offset)]);
  }

  /** `vector` with lane `lane` loaded from this address. */
  lane<V extends F32x4 | I32x4>(vector: V, lane: number, offset = 0): V {
    const Type = vector.constructor as new (code: readonly number[]) => V;
    return new Type([...this.code, ...vector.code, ...memory(simd(0x56), 0, offset), lane]);
  }
}

/** A 64-bit number. */
export class I64 extends Value {
  readonly type = "i64";

  mul(b: I64): I64 {
    return new I64([...this.code, ...b.code, 0x7e]);
  }

  /** The upper 32 bits. */
  high(): I32 {
    return new I32([...this.code, 0x42, 32, 0x88, 0xa7]);
  }

  low(): I32 {
    return new I32([...this.code, 0xa7]);
  }
}

/** A 32-bit float. */
export class F32 extends Value {
  readonly type = "f32";

  add(b: F32Term): F32 {
    return new F32([...this.code, ...f32(b).code, 0x92]);
  }

  sub(b: F32Term): F32 {
    return new F32([...this.code, ...f32(b).code, 0x93]);
  }

  mul(b: F32Term): F32 {
    return new F32([...this.code, ...f32(b).code, 0x94]);
  }

  div(b: F32Term): F32 {
    return new F32([...this.code, ...f32(b).code, 0x95]);
  }

  min(b: F32Term): F32 {
    return new F32([...this.code, ...f32(b).code, 0x96]);
  }

  max(b: F32Term): F32 {
    return new F32([...this.code, ...f32(b).code, 0x97]);
  }

  eq(b: F32Term): I32 {
    return new I32([...this.code, ...f32(b).code, 0x5b]);
  }

  ne(b: F32Term): I32 {
    return new I32([...this.code, ...f32(b).code, 0x5c]);
  }

  lt(b: F32Term): I32 {
    return new I32([...this.code, ...f32(b).code, 0x5d]);
  }

  gt(b: F32Term): I32 {
    return new I32([...this.code, ...f32(b).code, 0x5e]);
  }

  le(b: F32Term): I32 {
    return new I32([...this.code, ...f32(b).code, 0x5f]);
  }

  ge(b: F32Term): I32 {
    return new I32([...this.code, ...f32(b).code, 0x60]);
  }

  abs(): F32 {
    return new F32([...this.code, 0x8b]);
  }

  neg(): F32 {
    return new F32([...this.code, 0x8c]);
  }

  floor(): F32 {
    return new F32([...this.code, 0x8e]);
  }

  sqrt(): F32 {
    return new F32([...this.code, 0x91]);
  }

  bits(): I32 {
    return new I32([...this.code, 0xbc]);
  }

  toI32U(): I32 {
    return new I32([...this.code, 0xfc, 1]);
  }

  toI32S(): I32 {
    return new I32([...this.code, 0xfc, 0]);
  }

  splat(): F32x4 {
    return new F32x4([...this.code, ...simd(0x13)]);
  }
}

/** Four floats. */
export class F32x4 extends Value {
  readonly type = "v128";

  add(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xe4)]);
  }

  sub(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xe5)]);
  }

  mul(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xe6)]);
  }

  div(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xe7)]);
  }

  min(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xe8)]);
  }

  max(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xe9)]);
  }

  /** `this > b ? b : this`: one instruction, where `min` is nine. A NaN on the left stays, one on the right does not count. */
  notAbove(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xea)]);
  }

  /** `this < b ? b : this`, as `notAbove`. */
  notBelow(b: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...simd(0xeb)]);
  }

  eq(b: F32x4Term): I32x4 {
    return new I32x4([...this.code, ...f32x4(b).code, ...simd(0x41)]);
  }

  ne(b: F32x4Term): I32x4 {
    return new I32x4([...this.code, ...f32x4(b).code, ...simd(0x42)]);
  }

  lt(b: F32x4Term): I32x4 {
    return new I32x4([...this.code, ...f32x4(b).code, ...simd(0x43)]);
  }

  gt(b: F32x4Term): I32x4 {
    return new I32x4([...this.code, ...f32x4(b).code, ...simd(0x44)]);
  }

  le(b: F32x4Term): I32x4 {
    return new I32x4([...this.code, ...f32x4(b).code, ...simd(0x45)]);
  }

  ge(b: F32x4Term): I32x4 {
    return new I32x4([...this.code, ...f32x4(b).code, ...simd(0x46)]);
  }

  abs(): F32x4 {
    return new F32x4([...this.code, ...simd(0xe0)]);
  }

  neg(): F32x4 {
    return new F32x4([...this.code, ...simd(0xe1)]);
  }

  sqrt(): F32x4 {
    return new F32x4([...this.code, ...simd(0xe3)]);
  }

  ceil(): F32x4 {
    return new F32x4([...this.code, ...simd(0x67)]);
  }

  floor(): F32x4 {
    return new F32x4([...this.code, ...simd(0x68)]);
  }

  trunc(): F32x4 {
    return new F32x4([...this.code, ...simd(0x69)]);
  }

  nearest(): F32x4 {
    return new F32x4([...this.code, ...simd(0x6a)]);
  }

  toI32(): I32x4 {
    return new I32x4([...this.code, ...simd(0xf8)]);
  }

  toU32(): I32x4 {
    return new I32x4([...this.code, ...simd(0xf9)]);
  }

  promoteLow(): F64x2 {
    return new F64x2([...this.code, ...simd(0x5f)]);
  }

  /** The same bits. */
  bits(): I32x4 {
    return new I32x4(this.code);
  }

  extract(lane: number): F32 {
    return new F32([...this.code, ...simd(0x1f), lane]);
  }

  replace(lane: number, value: F32Term): F32x4 {
    return new F32x4([...this.code, ...f32(value).code, ...simd(0x20), lane]);
  }

  /** Lanes 0 to 3 are this vector's, 4 to 7 the other's. */
  shuffle(b: F32x4, ...from: readonly [number, number, number, number]): F32x4 {
    return new F32x4([
      ...this.code,
      ...b.code,
      ...simd(0x0d),
      ...from.flatMap((k) => [4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 3]),
    ]);
  }

  /** `this · b + c` by relaxed SIMD, which fuses where the processor does. */
  relaxedMadd(b: F32x4Term, c: F32x4Term): F32x4 {
    return new F32x4([...this.code, ...f32x4(b).code, ...f32x4(c).code, ...simd(0x105)]);
  }
}

/** Four whole numbers, or four masks. */
export class I32x4 extends Value {
  readonly type = "v128";

  add(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xae)]);
  }

  sub(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xb1)]);
  }

  mul(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xb5)]);
  }

  minS(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xb6)]);
  }

  minU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xb7)]);
  }

  maxS(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xb8)]);
  }

  maxU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0xb9)]);
  }

  eq(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x37)]);
  }

  ne(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x38)]);
  }

  ltS(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x39)]);
  }

  ltU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x3a)]);
  }

  gtS(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x3b)]);
  }

  gtU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x3c)]);
  }

  leS(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x3d)]);
  }

  leU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x3e)]);
  }

  geS(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x3f)]);
  }

  geU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x40)]);
  }

  and(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x4e)]);
  }

  andNot(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x4f)]);
  }

  or(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x50)]);
  }

  xor(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x51)]);
  }

  narrowU(b: I32x4Term): I32x4 {
    return new I32x4([...this.code, ...i32x4(b).code, ...simd(0x86)]);
  }

  shl(b: I32Term): I32x4 {
    return new I32x4([...this.code, ...i32(b).code, ...simd(0xab)]);
  }

  shrS(b: I32Term): I32x4 {
    return new I32x4([...this.code, ...i32(b).code, ...simd(0xac)]);
  }

  shrU(b: I32Term): I32x4 {
    return new I32x4([...this.code, ...i32(b).code, ...simd(0xad)]);
  }

  not(): I32x4 {
    return new I32x4([...this.code, ...simd(0x4d)]);
  }

  abs(): I32x4 {
    return new I32x4([...this.code, ...simd(0xa0)]);
  }

  neg(): I32x4 {
    return new I32x4([...this.code, ...simd(0xa1)]);
  }

  toF32(): F32x4 {
    return new F32x4([...this.code, ...simd(0xfa)]);
  }

  toF32U(): F32x4 {
    return new F32x4([...this.code, ...simd(0xfb)]);
  }

  anyTrue(): I32 {
    return new I32([...this.code, ...simd(0x53)]);
  }

  allTrue(): I32 {
    return new I32([...this.code, ...simd(0xa3)]);
  }

  toF64Low(): F64x2 {
    return new F64x2([...this.code, ...simd(0xfe)]);
  }

  /** The same bits. */
  float(): F32x4 {
    return new F32x4(this.code);
  }

  /** Bits of `a` where this mask is set, else of `b`. */
  select<V extends F32x4 | I32x4 | F64x2>(a: V, b: V): V {
    const Type = a.constructor as new (code: readonly number[]) => V;
    return new Type([...a.code, ...b.code, ...this.code, ...simd(0x52)]);
  }

  extract(lane: number): I32 {
    return new I32([...this.code, ...simd(0x1b), lane]);
  }

  replace(lane: number, value: I32Term): I32x4 {
    return new I32x4([...this.code, ...i32(value).code, ...simd(0x1c), lane]);
  }

  /** Lanes 0 to 3 are this vector's, 4 to 7 the other's. */
  shuffle(b: I32x4, ...from: readonly [number, number, number, number]): I32x4 {
    return this.float()
      .shuffle(b.float(), ...from)
      .bits();
  }

  /** 64-bit products of the lower two lanes, as lanes of low and high words. */
  productLow(b: I32x4): I32x4 {
    return new I32x4([...this.code, ...b.code, ...simd(0xde)]);
  }

  /** 64-bit products of the upper two lanes. */
  productHigh(b: I32x4): I32x4 {
    return new I32x4([...this.code, ...b.code, ...simd(0xdf)]);
  }
}

/** Two doubles. */
export class F64x2 extends Value {
  readonly type = "v128";

  add(b: F64x2Term): F64x2 {
    return new F64x2([...this.code, ...f64x2(b).code, ...simd(0xf0)]);
  }

  sub(b: F64x2Term): F64x2 {
    return new F64x2([...this.code, ...f64x2(b).code, ...simd(0xf1)]);
  }

  mul(b: F64x2Term): F64x2 {
    return new F64x2([...this.code, ...f64x2(b).code, ...simd(0xf2)]);
  }

  div(b: F64x2Term): F64x2 {
    return new F64x2([...this.code, ...f64x2(b).code, ...simd(0xf3)]);
  }

  min(b: F64x2Term): F64x2 {
    return new F64x2([...this.code, ...f64x2(b).code, ...simd(0xf4)]);
  }

  max(b: F64x2Term): F64x2 {
    return new F64x2([...this.code, ...f64x2(b).code, ...simd(0xf5)]);
  }

  nearest(): F64x2 {
    return new F64x2([...this.code, ...simd(0x94)]);
  }

  demote(): F32x4 {
    return new F32x4([...this.code, ...simd(0x5e)]);
  }

  toI32(): I32x4 {
    return new I32x4([...this.code, ...simd(0xfc)]);
  }

  /** The same bits. */
  bits(): I32x4 {
    return new I32x4(this.code);
  }
}
