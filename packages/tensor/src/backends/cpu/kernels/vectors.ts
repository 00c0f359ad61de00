import type { KernelBuilder } from "../kernel.ts";
import type { F32x4, I32 } from "../wasm/values.ts";

/** A vector of four of a row. */
export interface Part {
  /** Bytes from the addresses on that come with it. */
  readonly offset: number;
  /** In the last, incomplete vector how many elements count; reads of the others are harmless. */
  readonly rest: I32 | undefined;
  /** Which one of two neighbours it is. */
  readonly side: 0 | 1;
}

/**
 * Runs `compute` over rows that begin at some addresses, for two neighbouring vectors where there are two, and then each of `writes` on
 * their results, which so lie beside each other in the code too; all are given the addresses of the place.
 */
export function overRow<Result>(
  f: KernelBuilder,
  starts: readonly I32[],
  cols: I32,
  compute: (at: readonly I32[], part: Part) => Result,
  ...writes: readonly ((result: Result, at: readonly I32[], part: Part) => void)[]
): void {
  const run = (bytes: I32, parts: readonly Part[]): void => {
    const at = starts.map((start) => f.let(start.add(bytes)));
    const results = parts.map((part) => ({ part, result: compute(at, part) }));
    for (const write of writes) for (const { part, result } of results) write(result, at, part);
  };
  const pairs = f.let(cols.and(-8).shl(2));
  const whole = f.let(cols.and(-4).shl(2));
  const first: Part = { offset: 0, rest: undefined, side: 0 };
  f.range(0, pairs, 32, (bytes) => run(bytes, [first, { offset: 16, rest: undefined, side: 1 }]));
  f.if(pairs.ltU(whole), () => run(pairs, [first]));
  f.if(cols.and(3), () => run(whole, [{ ...first, rest: f.let(cols.and(3)) }]));
}

/** What an overRow writes: `value` at an address. */
export function put(f: KernelBuilder, at: I32, value: F32x4, { offset, rest }: Part): void {
  if (rest) f.storeSome(at, value, rest, offset);
  else f.store(at, value, offset);
}
