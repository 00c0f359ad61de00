import type { ReduceCall, View } from "../../../backend.ts";
import { denseLayout, type Layout } from "../../../layout.ts";
import type { CpuEngine } from "../engine.ts";
import { kernel, variants } from "../kernel.ts";
import { F32x4, f32x4, type I32, type I32x4, i32, i32x4, lanes } from "../wasm/values.ts";

type Kind = "sum" | "max" | "min";
type Type = "f32" | "i32" | "u32";

interface Variant {
  readonly kind: Kind;
  readonly type: Type;
  readonly dense: boolean;
}

/**
 * Longer axes are reduced in parts, and so are those: the additions in a row stay few, whatever the length, so that a sum of 20 million
 * loses less than 1e-6 of what it is made of; and several threads can share one output. Rows are summed in four vectors side by side,
 * columns in one.
 */
const ROW_PART = 4096;
const COLUMN_PART = 512;
/** Steps that are added up before their sum is added to that of others. */
const ROW_STRETCH = 32;
const COLUMN_STRETCH = 16;
/** Vectors that a unit of the column kernel keeps in registers. */
const WIDTH = 4;

type Vector = F32x4 | I32x4;

function combine({ kind, type }: Variant, a: Vector, b: Vector): Vector {
  if (a instanceof F32x4) return kind === "sum" ? a.add(b as F32x4) : a[kind](b as F32x4);
  const other = b as I32x4;
  if (kind === "sum") return a.add(other);
  if (kind === "max") return type === "i32" ? a.maxS(other) : a.maxU(other);
  return type === "i32" ? a.minS(other) : a.minU(other);
}

/** What changes nothing: 0, or the smallest or largest number. */
function identity({ kind, type }: Variant): Vector {
  if (type === "f32") return f32x4(kind === "sum" ? 0 : kind === "max" ? -Infinity : Infinity);
  if (kind === "sum") return i32x4(0);
  if (type === "u32") return i32x4(kind === "max" ? 0 : -1);
  return i32x4(kind === "max" ? -(2 ** 31) : 2 ** 31 - 1);
}

function load(type: Type, at: I32, offset = 0): Vector {
  return type === "f32" ? at.f32x4(offset) : at.i32x4(offset);
}

const SPEC = {
  x: "i32",
  y: "i32",
  n: "i32",
  parts: "i32",
  length: "i32",
  inner: "i32",
  blocks: "i32",
  outer: "i32",
  step: "i32",
  across: "i32",
} as const;

/**
 * A unit reduces one part of one row to one number, in four vectors that join in a fixed order. `outer`, `step` and `across` are
 * strides in bytes.
 */
const rowKernel = variants((v: Variant) =>
  kernel("reduce-row", SPEC, (f, { x, y, n, parts, length, inner, outer, step, across }) => {
    f.units((unit) => {
      const i = f.let(unit.remU(inner));
      const rest = f.let(unit.divU(inner));
      const begin = f.let(rest.remU(parts).mul(length));
      const count = f.let(begin.add(length).minU(n).sub(begin));
      const at = f.let(x.add(rest.divU(parts).mul(outer)).add(i.mul(across)).add(begin.mul(step)));
      const sums = [0, 1, 2, 3].map(() => f.let(identity(v)));
      const take = (k: number, value: Vector): void => f.set(sums[k]!, combine(v, sums[k]!, value));
      const gathered = (base: I32): Vector => {
        if (v.dense) return load(v.type, base);
        let value: Vector = v.type === "f32" ? base.splatF32() : base.splatI32();
        for (let lane = 1; lane < 4; lane++) value = f.let(base.add(step.mul(lane)).lane(value, lane));
        return value;
      };
      const stride = v.dense ? i32(16) : f.let(step.shl(2));
      const blocks = f.let(count.and(-16));
      const four = (): Vector =>
        f.let(combine(v, f.let(combine(v, sums[0]!, sums[1]!)), f.let(combine(v, sums[2]!, sums[3]!))));
      const all = f.let(identity(v));
      f.range(0, blocks, 16 * ROW_STRETCH, (from) => {
        f.range(from, f.let(from.add(16 * ROW_STRETCH).minU(blocks)), 16, () => {
          for (let k = 0; k < 4; k++) {
            take(k, gathered(at));
            f.advance(at, stride);
          }
        });
        f.set(all, combine(v, all, four()));
        for (const sum of sums) f.set(sum, identity(v));
      });
      const whole = f.let(count.and(-4));
      f.range(blocks, whole, 4, () => {
        take(0, gathered(at));
        f.advance(at, stride);
      });
      f.range(whole, count, 1, () => {
        const value = v.type === "f32" ? at.splatF32() : at.splatI32();
        const only = lanes(-1, 0, 0, 0);
        const one =
          v.type === "f32"
            ? only.select(value as F32x4, identity(v) as F32x4)
            : only.select(value as I32x4, identity(v) as I32x4);
        take(0, one);
        f.advance(at, step);
      });
      const joined = f.let(combine(v, all, sums[0]!));
      const pairs = f.let(combine(v, joined, swapped(joined, 2, 3, 0, 1)));
      f.storeLane(f.let(y.add(unit.shl(2))), f.let(combine(v, pairs, swapped(pairs, 1, 0, 3, 2))), 0);
    });
  }),
);

function swapped(x: Vector, ...order: readonly [number, number, number, number]): Vector {
  return x instanceof F32x4 ? x.shuffle(x, ...order) : x.shuffle(x, ...order);
}

/** A unit reduces up to 16 neighbouring columns down one part of the axis; `across` is one element. */
const columnKernel = variants((v: Variant) =>
  kernel("reduce-column", SPEC, (f, { x, y, n, parts, length, inner, blocks, outer, step }) => {
    f.units((unit) => {
      const col = f.let(unit.remU(blocks).mul(4 * WIDTH));
      const rest = f.let(unit.divU(blocks));
      const begin = f.let(rest.remU(parts).mul(length));
      const count = f.let(begin.add(length).minU(n).sub(begin));
      const at = f.let(x.add(rest.divU(parts).mul(outer)).add(col.shl(2)).add(begin.mul(step)));
      const sums = Array.from({ length: WIDTH }, () => f.let(identity(v)));
      const left = f.let(inner.sub(col));
      const stretch = sums.map(() => f.let(identity(v)));
      const down = (vectors: number): void =>
        f.range(0, count, COLUMN_STRETCH, (from) => {
          f.range(from, f.let(from.add(COLUMN_STRETCH).minU(count)), 1, () => {
            for (let k = 0; k < vectors; k++) f.set(stretch[k]!, combine(v, stretch[k]!, load(v.type, at, 16 * k)));
            f.advance(at, step);
          });
          for (let k = 0; k < vectors; k++) {
            f.set(sums[k]!, combine(v, sums[k]!, stretch[k]!));
            f.set(stretch[k]!, identity(v));
          }
        });
      f.if(
        left.gtU(4),
        () => down(WIDTH),
        () => down(1),
      );
      const to = f.let(y.add(rest.mul(inner).add(col).shl(2)));
      sums.forEach((sum, k) => {
        f.if(left.gtU(4 * k), () => f.storeSome(to, sum, f.let(left.sub(4 * k)), 16 * k));
      });
    });
  }),
);

/** A unit finds one position: the first of the largest (or smallest) values; a NaN beats every number. */
const argKernel = variants(({ type, largest }: { type: Type; largest: boolean }) =>
  kernel("reduce-arg", SPEC, (f, { x, y, n, inner, outer, step, across }) => {
    f.units((unit) => {
      const at = f.let(x.add(unit.divU(inner).mul(outer)).add(unit.remU(inner).mul(across)));
      const found = f.let(i32(0));
      const next = (i: I32, better: I32, keep: () => void): void =>
        f.if(better, () => {
          keep();
          f.set(found, i);
        });
      if (type === "f32") {
        const best = f.let(at.f32());
        f.range(1, n, 1, (i) => {
          f.advance(at, step);
          const value = f.let(at.f32());
          const beats = largest ? value.gt(best) : value.lt(best);
          next(i, best.eq(best).and(beats.or(value.ne(value))), () => f.set(best, value));
        });
      } else {
        const best = f.let(at.i32());
        f.range(1, n, 1, (i) => {
          f.advance(at, step);
          const value = f.let(at.i32());
          const signed = type === "i32";
          const beats = largest
            ? signed
              ? value.gtS(best)
              : value.gtU(best)
            : signed
              ? value.ltS(best)
              : value.ltU(best);
          next(i, beats, () => f.set(best, value));
        });
      }
      f.store(f.let(y.add(unit.shl(2))), found);
    });
  }),
);

interface Pass {
  readonly parts: number;
  readonly length: number;
}

function run(cpu: CpuEngine, kind: Kind, type: Type, input: View, out: View, { parts, length }: Pass): void {
  const [outer, n, inner] = input.layout.shape as [number, number, number];
  const [outerStride, step, across] = input.layout.strides as [number, number, number];
  const blocks = Math.ceil(inner / (4 * WIDTH));
  const args = {
    x: cpu.address(input),
    y: cpu.address(out),
    n,
    parts,
    length,
    inner,
    blocks,
    outer: outerStride * 4,
    step: step * 4,
    across: across * 4,
  };
  const variant: Variant = { kind, type, dense: step === 1 };
  if (walksDown(input.layout))
    cpu.launch(columnKernel({ ...variant, dense: true }), args, outer * parts * blocks, 10 + length * 2);
  else cpu.launch(rowKernel(variant), args, outer * parts * inner, 10 + length * (step === 1 ? 0.15 : 1));
}

/** Reduces the middle axis of a view of three axes. */
export function reduce(cpu: CpuEngine, { kind, input, out }: ReduceCall): void {
  const [outer, n, inner] = input.layout.shape as [number, number, number];
  if (outer * inner === 0) return;
  const type: Type = input.dtype === "bool" ? "u32" : (input.dtype as Type);
  if (kind === "argmax" || kind === "argmin") {
    const [outerStride, step, across] = input.layout.strides as [number, number, number];
    const args = {
      x: cpu.address(input),
      y: cpu.address(out),
      n,
      parts: 1,
      length: n,
      inner,
      blocks: 1,
      outer: outerStride * 4,
      step: step * 4,
      across: across * 4,
    };
    cpu.launch(argKernel({ type, largest: kind === "argmax" }), args, outer * inner, 10 + n * 1.5);
    return;
  }
  const parts = Math.ceil(n / (walksDown(input.layout) ? COLUMN_PART : ROW_PART));
  if (parts === 1) {
    run(cpu, kind, type, input, out, { parts, length: n });
    return;
  }
  const length = Math.ceil(n / parts);
  const used = Math.ceil(n / length);
  cpu.withTemporaries((take) => {
    const storage = take(outer * used * inner * 4, "partial reduction");
    const partial: View = { storage, layout: denseLayout([outer, used, inner]), dtype: input.dtype };
    run(cpu, kind, type, input, partial, { parts: used, length });
    reduce(cpu, { kind, input: partial, out });
  });
}

/** True where a unit walks down the axis. */
function walksDown({ shape, strides }: Layout): boolean {
  return shape[2]! >= 4 && strides[2] === 1;
}
