import type { Tensor } from "../../src/index.ts";
import type { Shape } from "../../src/shape.ts";
import { type Call, type Id, type Ownership, show } from "./program.ts";
import type { Shadow } from "./shadow.ts";

/** What ops are drawn from: random numbers, and the values there are. */
export interface Pool {
  /** A whole number below `count`. */
  random(count: number): number;
  chance(p: number): boolean;
  /** A value that fits, rather a recent one; undefined where there is none. */
  find(fits?: (x: Shadow) => boolean): Id | undefined;
  at(id: Id): Shadow;
  /** Whether there is f16. */
  readonly half: boolean;
}

/** An op with its operands chosen. */
export interface Drawn {
  readonly call: Call;
  readonly args: readonly Id[];
  /** Number of results, 1 by default. */
  readonly results?: number;
}

/** Draws an op; undefined where nothing fits. */
export type Maker = (pool: Pool) => Drawn | undefined;

/** An op of one operand: what makes it of the operand, or undefined where it does not fit. */
export interface Step {
  readonly name: string;
  /** What stands in listings besides the operand. */
  readonly options?: readonly unknown[];
  readonly ownership?: Ownership;
  readonly results?: number;
  readonly run: (x: Tensor) => Tensor | readonly Tensor[];
  readonly shadow: (x: Shadow) => Shadow | readonly Shadow[];
}

/** Tensors of more elements than this are only taken by ops that keep their size. */
export const SMALL = 600;

export const isNumber = (x: Shadow): boolean => x.dtype !== "bool";
export const isReal = (x: Shadow): boolean => x.dtype === "f32";
export const hasAxis = (x: Shadow): boolean => x.shape.length > 0;
export const isSmall = (x: Shadow): boolean => x.data.length <= SMALL;
export const smallWithAxis = (x: Shadow): boolean => isSmall(x) && hasAxis(x);

/** A maker of ops of one operand. */
export function step(make: (x: Shadow, pool: Pool) => Step | undefined, fits?: (x: Shadow) => boolean): Maker {
  return (pool) => {
    const id = pool.find(fits);
    if (id === undefined) return undefined;
    const drawn = make(pool.at(id), pool);
    if (!drawn) return undefined;
    const { name, options = [], ownership = "open", results = 1, run, shadow } = drawn;
    const text = (x: string): string => `${name}(${[x, ...options.map(show)].join(", ")})`;
    return { args: [id], results, call: { text, run, shadow, ownership } };
  };
}

/** Two shapes that broadcast. */
export function compatible(a: Shape, b: Shape): boolean {
  for (let back = 1; back <= Math.min(a.length, b.length); back++) {
    const [x, y] = [a.at(-back)!, b.at(-back)!];
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
}

export function replaced(shape: Shape, axis: number, size: number): number[] {
  return shape.map((own, i) => (i === axis ? size : own));
}

/** A random subset of the axes, at least one. */
export function someAxes(pool: Pool, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter(() => pool.chance(0.5));
  return axes.length > 0 ? axes : [pool.random(rank)];
}

export function shuffled(pool: Pool, count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = pool.random(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
