import { type DType, isFloat } from "../../src/dtype.ts";
import { broadcastShapes, denseStrides, numel, type Shape } from "../../src/shape.ts";

/*
 * The host's shadow of a tensor: a plain array in double precision that never changes, with the way back to what it was computed from. Three
 * builders are enough for every op: elements picked from others (all views, joins and gathers), a function of elements, and a sum.
 */

/** A program that asks for what it must not, such as numbers that are too large to be exact: it is drawn anew, not run. */
export class Invalid extends Error {}

/** The way back to one operand: turns the result's gradient into the operand's; with `absolute`, as if no slope were negative. */
interface Edge {
  readonly to: Shadow;
  readonly pull: (dy: Float64Array, absolute: boolean) => Float64Array;
}

/** The value of a tensor at one moment. */
export interface Shadow {
  /** Grows, so that descending order is an order for the way back. */
  readonly order: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: Float64Array;
  /** Empty where no gradient flows. */
  readonly edges: readonly Edge[];
  /** Whose gradient it is that arrives here; undefined for what is no leaf. */
  readonly leaf: object | undefined;
  /** The largest sum of absolute values that arose: what has to stay below 2^24 in exact programs. */
  readonly largest: number;
  /** Shared by the results of one op: whether one of them may still go back when another has is left open. */
  readonly joint: boolean;
  /** Whether a `backward` has used up the graph here; "unknown" after one that failed. */
  spent: "no" | "yes" | "unknown";
}

let made = 0;

function shadow(
  shape: Shape,
  dtype: DType,
  data: Float64Array,
  edges: readonly Edge[],
  more: { largest: number; leaf?: object; joint?: boolean },
): Shadow {
  if (!data.every((value) => holds(dtype, value))) throw new Invalid(`no numbers of ${dtype}`);
  const flowing = isFloat(dtype) ? edges.filter(({ to }) => flows(to)) : [];
  const { largest, leaf, joint = false } = more;
  return { order: made++, shape, dtype, data, edges: flowing, leaf, largest, joint, spent: "no" };
}

/** Whether a dtype has a number without rounding or wrapping; of f16 whole numbers are enough here. */
export function holds(dtype: DType, value: number): boolean {
  if (dtype === "u32") return value >= 0;
  return dtype !== "f16" || (Number.isInteger(value) && Math.abs(value) <= 2048);
}

/**
 * The type that two meet in: a float before whole numbers before truth values, f32 before f16, but a float without axes does not widen one
 * that has some. i32 and u32 do not meet.
 */
export function common(a: Pick<Shadow, "dtype" | "shape">, b: Pick<Shadow, "dtype" | "shape">): DType {
  const types = [a.dtype, b.dtype];
  if (types.includes("i32") && types.includes("u32")) throw new Invalid("i32 beside u32");
  if (isFloat(a.dtype) && isFloat(b.dtype) && (a.shape.length === 0) !== (b.shape.length === 0)) {
    return a.shape.length === 0 ? b.dtype : a.dtype;
  }
  return (["f32", "f16", "i32", "u32", "bool"] as const).find((dtype) => types.includes(dtype))!;
}

/** True where a gradient is wanted or passes through. */
export function flows(x: Shadow): boolean {
  return x.leaf !== undefined || x.edges.length > 0;
}

function largestOf(data: Float64Array): number {
  let largest = 0;
  for (const value of data) {
    if (!(Math.abs(value) <= largest)) largest = Math.abs(value);
    if (Number.isNaN(value)) return Number.POSITIVE_INFINITY;
  }
  return largest;
}

/** A value without history; a leaf's gradient is its owner's. */
export function constant(shape: Shape, dtype: DType, data: Float64Array, leaf?: object): Shadow {
  return shadow(shape, dtype, data, [], { largest: largestOf(data), ...(leaf ? { leaf } : {}) });
}

/** The index in row-major storage, or in a strided view of it, of every element of `shape`. */
export function indices(shape: Shape, strides: readonly number[] = denseStrides(shape), offset = 0): Int32Array {
  const at = new Int32Array(numel(shape));
  const position = shape.map(() => 0);
  let index = offset;
  for (let i = 0; i < at.length; i++) {
    at[i] = index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index += strides[axis]!;
      if (++position[axis]! < shape[axis]!) break;
      index -= shape[axis]! * strides[axis]!;
      position[axis] = 0;
    }
  }
  return at;
}

/** Elements of `sources`: element i is `sources[which[i]][at[i]]` (`which` 0 by default), or `fill` where `at` is negative. */
export function pick(
  shape: Shape,
  sources: readonly Shadow[],
  at: Int32Array,
  { which, fill = 0, dtype = sources[0]!.dtype }: { which?: Uint8Array; fill?: number; dtype?: DType } = {},
): Shadow {
  const data = new Float64Array(at.length);
  for (let i = 0; i < at.length; i++) data[i] = at[i]! < 0 ? fill : sources[which ? which[i]! : 0]!.data[at[i]!]!;
  const edges = sources.map((to, k) => ({
    to,
    pull: (dy: Float64Array) => {
      const dx = new Float64Array(to.data.length);
      for (let i = 0; i < at.length; i++) if (at[i]! >= 0 && (which ? which[i]! : 0) === k) dx[at[i]!]! += dy[i]!;
      return dx;
    },
  }));
  return shadow(shape, dtype, data, edges, { largest: Math.max(Math.abs(fill), ...sources.map((x) => x.largest)) });
}

/** A view of row-major storage under other strides. */
export function strided(x: Shadow, shape: Shape, strides: readonly number[], offset = 0): Shadow {
  return pick(shape, [x], indices(shape, strides, offset));
}

/** Broadcasts to `shape`. */
export function expandTo(x: Shadow, shape: Shape): Shadow {
  if (shape.join() === x.shape.join()) return x;
  const own = denseStrides(x.shape);
  const added = shape.length - x.shape.length;
  return strided(
    x,
    shape,
    shape.map((_, axis) => (axis < added || x.shape[axis - added] === 1 ? 0 : own[axis - added]!)),
  );
}

/** The same elements in another shape. */
export function reshaped(x: Shadow, shape: Shape): Shadow {
  return pick(shape, [x], indices([x.data.length]));
}

/** The same value for several results of one op. */
export function joint(x: Shadow): Shadow {
  const same = reshaped(x, x.shape);
  return { ...same, joint: true };
}

/** The same value without history. */
export function detached(x: Shadow): Shadow {
  return constant(x.shape, x.dtype, x.data);
}

type Of = (...values: number[]) => number;

/** A function of elements, broadcasting. Each operand with a slope passes the gradient on, times that slope. */
export function zip(
  dtype: DType,
  operands: readonly Shadow[],
  f: Of,
  slopes: readonly (Of | undefined)[] = [],
): Shadow {
  const shape = operands.map((x) => x.shape).reduce((a, b) => broadcastShapes("shadow", a, b));
  const wide = operands.map((x) => expandTo(x, shape));
  const values = (i: number): number[] => wide.map((x) => x.data[i]!);
  const data = Float64Array.from({ length: numel(shape) }, (_, i) => f(...values(i)));
  const edges = wide.flatMap((to, k) => {
    const slope = slopes[k];
    if (!slope) return [];
    const pull = (dy: Float64Array, absolute: boolean): Float64Array =>
      dy.map((own, i) => {
        const factor = slope(...values(i));
        return own * (absolute ? Math.abs(factor) : factor);
      });
    return [{ to, pull }];
  });
  return shadow(shape, dtype, data, edges, { largest: Math.max(largestOf(data), ...wide.map((x) => x.largest)) });
}

/** For each element of `shape` the element of the reduced shape that it goes to. */
export function groups(shape: Shape, axes: readonly number[]): { kept: Shape; to: Int32Array } {
  const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const own = denseStrides(kept);
  const strides = shape.map((_, axis) => (axes.includes(axis) ? 0 : own[axis]!));
  return { kept, to: indices(shape, strides) };
}

/** Sum over axes, which stay with size 1. */
export function total(x: Shadow, axes: readonly number[], dtype: DType = x.dtype): Shadow {
  const { kept, to } = groups(x.shape, axes);
  const data = new Float64Array(numel(kept));
  const sizes = new Float64Array(numel(kept));
  for (let i = 0; i < to.length; i++) {
    data[to[i]!]! += x.data[i]!;
    sizes[to[i]!]! += Math.abs(x.data[i]!);
  }
  const pull = (dy: Float64Array): Float64Array => Float64Array.from(to, (group) => dy[group]!);
  return shadow(kept, dtype, data, [{ to: x, pull }], { largest: Math.max(x.largest, largestOf(sizes)) });
}

/** Largest (or smallest, with sign −1) value over axes, which stay with size 1; ties share the gradient. */
export function extreme(x: Shadow, axes: readonly number[], sign: 1 | -1): Shadow {
  const { kept, to } = groups(x.shape, axes);
  const data = new Float64Array(numel(kept)).fill(Number.NEGATIVE_INFINITY * sign);
  for (let i = 0; i < to.length; i++) if (sign * x.data[i]! > sign * data[to[i]!]!) data[to[i]!] = x.data[i]!;
  const ties = new Float64Array(data.length);
  for (let i = 0; i < to.length; i++) if (x.data[i] === data[to[i]!]) ties[to[i]!]! += 1;
  const pull = (dy: Float64Array): Float64Array => {
    if (ties.some((count) => !Number.isInteger(Math.log2(count)))) throw new Invalid("a third of a gradient");
    return Float64Array.from(to, (group, i) => (x.data[i] === data[group] ? dy[group]! / ties[group]! : 0));
  };
  return shadow(kept, x.dtype, data, [{ to: x, pull }], { largest: x.largest });
}

/** A gradient, and what it would be if nothing cancelled: the scale of its rounding errors. */
export interface Gradient {
  readonly sum: Float64Array;
  readonly size: Float64Array;
}

/** Every shadow that a gradient of `y` passes, results before what they were computed from. */
export function behind(y: Shadow): Shadow[] {
  const seen = new Set<Shadow>([y]);
  const stack = [y];
  for (let x = stack.pop(); x; x = stack.pop())
    for (const { to } of x.edges) {
      if (seen.has(to)) continue;
      seen.add(to);
      stack.push(to);
    }
  return [...seen].sort((a, b) => b.order - a.order);
}

/** The gradient of `y`, a single number, at everything that it was computed from. */
export function gradientsOf(y: Shadow): Map<Shadow, Gradient> {
  const found = new Map<Shadow, Gradient>([[y, { sum: Float64Array.of(1), size: Float64Array.of(1) }]]);
  for (const x of behind(y)) {
    const dy = found.get(x)!;
    for (const { to, pull } of x.edges) {
      const known = found.get(to);
      const share = { sum: pull(dy.sum, false), size: pull(dy.size, true) };
      found.set(to, known ? { sum: plus(known.sum, share.sum), size: plus(known.size, share.size) } : share);
    }
  }
  return found;
}

export function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]!);
}
