import { signed, unsigned, VALUE_TYPE, type ValueType } from "./module.ts";
import * as Op from "./opcodes.ts";

/*
 * Typed expressions over WebAssembly's stack machine: a value is the code that leaves it on the stack. Every operation is a
 * method of its operand's type, so that code that would not validate does not compile; the plain ones come out of tables of opcodes.
 * F32x4, I32x4, I64x2 and F64x2 are views of the one type v128. A value is evaluated where it is used, as often as it is used:
 * `FunctionBuilder.let` keeps one. Code is bytes, but for the numbers that stand for vectors of constants.
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

const constants = new Map<string, number>();
const constantBytes: (readonly number[])[] = [];

/** From here on numbers in code are no bytes, but stand for vectors of constants. */
export const FIRST_CONSTANT = 0x10000;

/**
 * Code of a vector of constants: a number that the function's builder turns into a local, set where the function begins, since engines
 * make such a vector anew at each use, in loops too. Zeros cost nothing anywhere.
 */
function vectorConstant(bytes: readonly number[]): number[] {
  if (bytes.every((byte) => byte === 0)) return [...simd(0x0c), ...bytes];
  const key = bytes.join();
  const known = constants.get(key);
  if (known !== undefined) return [known];
  const code = FIRST_CONSTANT + constantBytes.length;
  constants.set(key, code);
  constantBytes.push(bytes);
  return [code];
}

/** The instruction of a constant that code has a number for. */
export function constantInstruction(code: number): number[] {
  return [...simd(0x0c), ...constantBytes[code - FIRST_CONSTANT]!];
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
  return new F32x4(vectorConstant([...bytes, ...bytes, ...bytes, ...bytes]));
}

export function i32x4(x: I32x4Term): I32x4 {
  return typeof x === "number" ? lanes(x, x, x, x) : x;
}

export function f64x2(x: F64x2Term): F64x2 {
  return typeof x === "number" ? new F64x2(vectorConstant([...f64Bytes(x), ...f64Bytes(x)])) : x;
}

/** Four whole numbers. */
export function lanes(...values: readonly [number, number, number, number]): I32x4 {
  const bytes = values.flatMap((v) => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255]);
  return new I32x4(vectorConstant(bytes));
}

/** A method of one argument for each opcode of a table. */
type Binary<Table, Term, Result> = { readonly [Name in keyof Table]: (b: Term) => Result };
type Unary<Table, Result> = { readonly [Name in keyof Table]: () => Result };
type Class<V extends Value> = new (code: readonly number[], local?: number) => V;

/** Bytes of an opcode; those of SIMD follow a prefix. */
function opcode(op: number): number[] {
  return op >= Op.SIMD ? simd(op - Op.SIMD) : [op];
}

function install<V extends Value, Term>(
  target: Class<V>,
  table: Readonly<Record<string, number>>,
  result: Class<Value>,
  term?: (x: Term) => Value,
): void {
  for (const [name, op] of Object.entries(table)) {
    const bytes = opcode(op);
    Object.defineProperty(target.prototype, name, {
      value(this: Value, b: Term): Value {
        return new result(term ? [...this.code, ...term(b).code, ...bytes] : [...this.code, ...bytes]);
      },
    });
  }
}

export interface I32 extends Binary<typeof Op.I32_BINARY, I32Term, I32> {}
export interface F32
  extends Binary<typeof Op.F32_ARITHMETIC, F32Term, F32>,
    Binary<typeof Op.F32_COMPARISON, F32Term, I32>,
    Unary<typeof Op.F32_UNARY, F32> {}
export interface F32x4
  extends Binary<typeof Op.F32X4_ARITHMETIC, F32x4Term, F32x4>,
    Binary<typeof Op.F32X4_COMPARISON, F32x4Term, I32x4>,
    Unary<typeof Op.F32X4_UNARY, F32x4>,
    Unary<typeof Op.F32X4_TO_I32, I32x4> {}
export interface I32x4
  extends Binary<typeof Op.I32X4_BINARY, I32x4Term, I32x4>,
    Binary<typeof Op.I32X4_SHIFT, I32Term, I32x4>,
    Unary<typeof Op.I32X4_UNARY, I32x4>,
    Unary<typeof Op.I32X4_TO_F32, F32x4> {}
export interface F64x2 extends Binary<typeof Op.F64X2_BINARY, F64x2Term, F64x2> {}

/** A 32-bit number, signed or not as the operation says; also an address. */
export class I32 extends Value {
  readonly type = "i32";

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

  /** 1 where any bit is set, else 0. */
  any(): I32 {
    return new I32([...this.code, ...simd(0x53)]);
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
}

/** Two doubles. */
export class F64x2 extends Value {
  readonly type = "v128";

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

install(I32, Op.I32_BINARY, I32, i32);
install(F32, Op.F32_ARITHMETIC, F32, f32);
install(F32, Op.F32_COMPARISON, I32, f32);
install(F32, Op.F32_UNARY, F32);
install(F32x4, Op.F32X4_ARITHMETIC, F32x4, f32x4);
install(F32x4, Op.F32X4_COMPARISON, I32x4, f32x4);
install(F32x4, Op.F32X4_UNARY, F32x4);
install(F32x4, Op.F32X4_TO_I32, I32x4);
install(I32x4, Op.I32X4_BINARY, I32x4, i32x4);
install(I32x4, Op.I32X4_SHIFT, I32x4, i32);
install(I32x4, Op.I32X4_UNARY, I32x4);
install(I32x4, Op.I32X4_TO_F32, F32x4);
install(F64x2, Op.F64X2_BINARY, F64x2, f64x2);
