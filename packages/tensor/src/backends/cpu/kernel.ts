import { PAIR_STRIDE, PAIRS } from "./memory.ts";
import { FunctionBuilder, type Target } from "./wasm/builder.ts";
import { encodeModule } from "./wasm/module.ts";
import type { F32, F32x4, I32 } from "./wasm/values.ts";

/** Names and types of a kernel's arguments, in the order in which they lie in memory. */
export type Spec = Readonly<Record<string, "i32" | "f32">>;

/** The arguments inside of a kernel. */
export type Arguments<S extends Spec> = {
  readonly [Name in keyof S]: "i32" extends S[Name] ? ("f32" extends S[Name] ? I32 | F32 : I32) : F32;
};

/** The arguments of a launch: by their names, or in their order, which takes less time. */
export type Numbers<S extends Spec> = { readonly [Name in keyof S]: number } | readonly number[];

/** A kernel: a function over a range of units of work that do not depend on each other. */
export interface Kernel<S extends Spec = Spec> {
  readonly name: string;
  readonly spec: S;
  /** The same as a list, for launches. */
  readonly fields: readonly { readonly name: string; readonly float: boolean }[];
  readonly encode: (target: Target, shared: boolean) => Uint8Array<ArrayBuffer>;
}

/** What a kernel is written with: a function builder, and its range. */
export class KernelBuilder extends FunctionBuilder {
  readonly begin: I32;
  readonly end: I32;
  /** Which thread runs it, from 0. */
  readonly thread: I32;
  readonly #args: I32;

  constructor(target: Target) {
    super(target);
    this.#args = this.param();
    this.begin = this.param();
    this.end = this.param();
    this.thread = this.param();
  }

  /** Loads the arguments. */
  open<S extends Spec>(spec: S): Arguments<S> {
    const entries = Object.entries(spec).map(([name, type], i) => [
      name,
      type === "f32" ? this.let(this.#args.f32(4 * i)) : this.let(this.#args.i32(4 * i)),
    ]);
    // Object.entries loses what `spec` says of each name.
    return Object.fromEntries(entries) as Arguments<S>;
  }

  /**
   * Two vectors that were computed alike, step by step, where vectors are wide: sent through memory, since engines look for pairs where
   * neighbours are stored.
   */
  paired(pair: readonly [F32x4, F32x4]): readonly [F32x4, F32x4] {
    if (!this.target.wide) return pair;
    const place = this.let(this.thread.mul(PAIR_STRIDE).add(PAIRS));
    pair.forEach((value, i) => {
      this.store(place, value, 16 * i);
    });
    return [this.let(place.f32x4()), this.let(place.f32x4(16))];
  }

  /** Runs `body` for each unit of the range. */
  units(body: (unit: I32) => void): void {
    this.range(this.begin, this.end, 1, body);
  }
}

/**
 * Makes a kernel. A call computes the units `begin … end − 1`; what a unit computes never depends on which call, and so which
 * thread, it falls into. That is why results do not depend on the number of threads.
 */
export function kernel<const S extends Spec>(
  name: string,
  spec: S,
  write: (f: KernelBuilder, args: Arguments<S>) => void,
): Kernel<S> {
  const encode = (target: Target, shared: boolean): Uint8Array<ArrayBuffer> => {
    const f = new KernelBuilder(target);
    write(f, f.open(spec));
    return encodeModule(f.finish(), shared);
  };
  const fields = Object.entries(spec).map(([name, type]) => ({ name, float: type === "f32" }));
  return { name, spec, fields, encode };
}

/** One kernel for each key: variants of a family, made when they are first needed. */
export function variants<Key, S extends Spec>(make: (key: Key) => Kernel<S>): (key: Key) => Kernel<S> {
  const known = new Map<string, Kernel<S>>();
  return (key) => {
    const text = typeof key === "object" ? Object.values(key as object).join() : String(key);
    let found = known.get(text);
    if (!found) {
      found = make(key);
      known.set(text, found);
    }
    return found;
  };
}
