import { type FunctionCode, unsigned, type ValueType } from "./module.ts";
import {
  constantInstruction,
  F32,
  F32x4,
  type F32x4Term,
  FIRST_CONSTANT,
  I32,
  type I32Term,
  type I32x4,
  i32,
  type Value,
} from "./values.ts";

type Class<V extends Value> = new (code: readonly number[], local?: number) => V;

const EMPTY_BLOCK = 0x40;

/** What code is written for. */
export interface Target {
  /** Fused multiply-adds by relaxed SIMD. */
  readonly relaxed: boolean;
  /** The engine makes one 256-bit instruction of two that do the same to neighbouring vectors, so that code had better come in pairs. */
  readonly wide: boolean;
}

/** Writes the body of one function: typed locals, stores, and structured control flow. */
export class FunctionBuilder {
  readonly #params: ValueType[] = [];
  readonly #locals: ValueType[] = [];
  /** Sets the vectors of constants. */
  readonly #prologue: number[] = [];
  readonly #constants = new Map<number, Value>();
  readonly #body: number[] = [];
  #depth = 0;
  readonly target: Target;

  constructor(target: Target) {
    this.target = target;
  }

  emit(code: readonly number[]): void {
    for (const byte of code) {
      if (byte < FIRST_CONSTANT) this.#body.push(byte);
      else this.#body.push(...this.#constant(byte).code);
    }
  }

  #constant(code: number): Value {
    const known = this.#constants.get(code);
    if (known) return known;
    const local = this.local(F32x4);
    this.#prologue.push(...constantInstruction(code), 0x21, ...unsigned(local.local!));
    this.#constants.set(code, local);
    return local;
  }

  /** The next parameter; all of them before the first local. */
  param(): I32 {
    this.#params.push("i32");
    return localOf(I32, this.#params.length - 1);
  }

  /** A local of a type, 0 at first. */
  local<V extends Value>(type: Class<V>): V {
    const index = this.#params.length + this.#locals.length;
    const value = localOf(type, index);
    this.#locals.push(value.type);
    return value;
  }

  /** A local that holds a value from here on. */
  let<V extends Value>(value: V): V {
    const local = this.local(value.constructor as Class<V>);
    this.set(local, value);
    return local;
  }

  set<V extends Value>(local: V, value: V): void {
    if (local.local === undefined) throw new Error("internal: assignment to a value that is no local");
    this.emit([...value.code, 0x21, ...unsigned(local.local)]);
  }

  /** `local += amount`. */
  advance(local: I32, amount: I32Term): void {
    this.set(local, local.add(amount));
  }

  /** `a · b + c`: fused where relaxed SIMD is on, else rounded twice. */
  fma(a: F32x4, b: F32x4Term, c: F32x4Term): F32x4 {
    return this.target.relaxed ? a.relaxedMadd(b, c) : a.mul(b).add(c);
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.emit([...condition.code, 0x04, EMPTY_BLOCK]);
    this.#nested(then);
    if (otherwise) {
      this.emit([0x05]);
      this.#nested(otherwise);
    }
    this.emit([0x0b]);
  }

  /** Runs `body` with an unsigned counter from `from` below `to`. `to` and `step` are evaluated each time. */
  range(from: I32Term, to: I32Term, step: I32Term, body: (i: I32) => void): void {
    const i = this.let(i32(from));
    this.while(
      () => i.ltU(to),
      () => {
        body(i);
        this.advance(i, step);
      },
    );
  }

  /** Runs `body` as long as the condition holds. */
  while(condition: () => I32, body: () => void): void {
    this.if(condition(), () => {
      this.emit([0x03, EMPTY_BLOCK]);
      this.#nested(body);
      // The test stands at the end, so that a turn is one jump.
      this.emit([...condition().code, 0x0d, 0, 0x0b]);
    });
  }

  /** Runs `body`, which may leave early by calling `leave` where a condition holds. */
  block(body: (leave: (condition: I32) => void) => void): void {
    this.emit([0x02, EMPTY_BLOCK]);
    const outside = this.#depth;
    this.#nested(() =>
      body((condition) => this.emit([...condition.code, 0x0d, ...unsigned(this.#depth - outside - 1)])),
    );
    this.emit([0x0b]);
  }

  #nested(body: () => void): void {
    this.#depth++;
    body();
    this.#depth--;
  }

  store(address: I32, value: I32 | F32 | F32x4 | I32x4, offset = 0): void {
    const op = value instanceof I32 ? [0x36, 2] : value instanceof F32 ? [0x38, 2] : [0xfd, 0x0b, 0];
    this.emit([...address.code, ...value.code, ...op, ...unsigned(offset)]);
  }

  store8(address: I32, value: I32): void {
    this.emit([...address.code, ...value.code, 0x3a, 0, 0]);
  }

  store16(address: I32, value: I32): void {
    this.emit([...address.code, ...value.code, 0x3b, 1, 0]);
  }

  /** Stores one 32-bit lane. */
  storeLane(address: I32, vector: F32x4 | I32x4, lane: number, offset = 0): void {
    this.emit([...address.code, ...vector.code, 0xfd, 0x5a, 0, ...unsigned(offset), lane]);
  }

  /** Stores the lower two lanes. */
  storeHalf(address: I32, vector: F32x4 | I32x4, offset = 0): void {
    this.emit([...address.code, ...vector.code, 0xfd, 0x5b, 0, ...unsigned(offset), 0]);
  }

  /** Stores the first `count` lanes, 1 to 4 of them. */
  storeSome(address: I32, vector: F32x4 | I32x4, count: I32, offset = 0): void {
    const value = this.let(vector);
    this.if(
      count.geU(4),
      () => this.store(address, value, offset),
      () => {
        this.storeLane(address, value, 0, offset);
        this.if(count.gtU(1), () => this.storeLane(address, value, 1, offset + 4));
        this.if(count.gtU(2), () => this.storeLane(address, value, 2, offset + 8));
      },
    );
  }

  copyBytes(to: I32, from: I32, bytes: I32): void {
    this.emit([...to.code, ...from.code, ...bytes.code, 0xfc, 10, 0, 0]);
  }

  fillBytes(to: I32, value: I32Term, bytes: I32): void {
    this.emit([...to.code, ...i32(value).code, ...bytes.code, 0xfc, 11, 0]);
  }

  /** The sum of the lanes, in pairs. */
  sumLanes(v: F32x4): F32 {
    const x = this.let(v);
    const y = this.let(x.add(x.shuffle(x, 2, 3, 0, 1)));
    return y.extract(0).add(y.extract(1));
  }

  finish(): FunctionCode {
    return { params: this.#params, locals: this.#locals, body: [...this.#prologue, ...this.#body] };
  }
}

function localOf<V extends Value>(type: Class<V>, index: number): V {
  return new type([0x20, ...unsigned(index)], index);
}
