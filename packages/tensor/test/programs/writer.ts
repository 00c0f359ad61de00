import type { DType, Shape } from "../../src/index.ts";
import { numel } from "../../src/shape.ts";
import { seeded } from "../../src/testing.ts";
import type { Maker, Pool } from "./draw.ts";
import { MOVES } from "./moves.ts";
import { EXACT, EXACT_FEW } from "./pointwise.ts";
import type { Action, CallAction, Id } from "./program.ts";
import { REAL } from "./real.ts";
import { loss, EXACT as REDUCTIONS } from "./reductions.ts";
import { Invalid, type Shadow } from "./shadow.ts";
import { type Slot, World } from "./world.ts";

/** What programs are made of. */
export interface Kind {
  readonly exact: boolean;
  /** Draws from few formulas, so that programs share their kernels. */
  readonly few: boolean;
  /** How many devices there are to choose from. */
  readonly devices: number;
  /** Whether all of them have f16. */
  readonly half: boolean;
}

/** Draws values and ops of one task: each action is tried on the world, and forgotten where it makes no sense. */
export class Writer implements Pool {
  protected readonly world: World;
  readonly #uniform: () => number;
  protected readonly kind: Kind;
  readonly half: boolean;
  protected readonly pointwise: readonly Maker[];
  protected readonly others: readonly Maker[];
  protected readonly loss: Maker;
  readonly #sizes: readonly number[];
  protected next = 1;
  /** In a burst of pointwise ops: the value that each one takes. */
  protected focus: Id | undefined;
  readonly #big: boolean;

  constructor(seed: number, kind: Kind) {
    this.world = new World(kind.exact);
    this.#uniform = seeded(seed);
    this.#uniform();
    this.kind = kind;
    // Exact numbers only: f16 rounds real ones too soon.
    this.half = kind.half && kind.exact;
    const exact = kind.few ? EXACT_FEW : EXACT;
    this.pointwise = kind.exact ? exact : REAL.pointwise;
    this.others = [...MOVES, ...(kind.exact ? REDUCTIONS : REAL.rows)];
    this.loss = loss(kind.exact);
    this.#big = kind.exact && this.chance(0.06);
    this.#sizes = Array.from({ length: 3 }, () => (this.chance(0.06) ? 0 : 1 + this.random(5)));
  }

  random(count: number): number {
    return Math.floor(this.#uniform() * count);
  }

  chance(p: number): boolean {
    return this.#uniform() < p;
  }

  at(id: Id): Shadow {
    return this.world.live(id).shadow;
  }

  find(fits: (x: Shadow) => boolean = () => true): Id | undefined {
    if (this.focus !== undefined && this.chance(0.8) && this.has(this.focus, fits)) return this.focus;
    return this.where(({ shadow }) => fits(shadow));
  }

  protected has(id: Id, fits: (x: Shadow) => boolean): boolean {
    const slot = this.world.slots.get(id);
    return slot !== undefined && !slot.disposed && !slot.forgotten && fits(slot.shadow);
  }

  protected where(fits: (slot: Slot) => boolean, live = true): Id | undefined {
    const ids = [...this.world.slots].flatMap(([id, slot]) =>
      (!live || !(slot.disposed || slot.forgotten)) && fits(slot) ? [id] : [],
    );
    if (ids.length === 0) return undefined;
    const recent = ids.slice(-5);
    return this.chance(0.5) ? recent[this.random(recent.length)] : ids[this.random(ids.length)];
  }

  /** Applies an action that makes sense; undefined for one that does not. */
  protected attempt<A extends Action>(action: A | undefined): A | undefined {
    if (!action) return undefined;
    try {
      this.world.apply(action);
      return action;
    } catch (error) {
      if (error instanceof Invalid) return undefined;
      throw error;
    }
  }

  #value(dtype: DType): number {
    if (!this.kind.exact) return dtype === "f32" ? Math.fround(2 * this.#uniform() - 1) : this.random(2);
    if (dtype === "bool") return this.random(2);
    return dtype === "i32" || dtype === "u32" ? this.random(4) : this.random(7) - 3;
  }

  #dtype(leaf: boolean): DType {
    const rare: DType[] = leaf ? [] : ["u32"];
    if (this.half) rare.push("f16");
    // A backend that makes a kernel for each type meets them less often.
    if (rare.length > 0 && this.kind.exact && this.chance(this.kind.few ? 0.08 : 0.2))
      return rare[this.random(rare.length)]!;
    if (leaf || this.chance(0.4)) return "f32";
    return this.chance(0.7) ? "i32" : "bool";
  }

  #shape(): Shape {
    if (this.#big && this.chance(0.5)) return this.chance(0.5) ? [100_003] : [317, 316];
    const rank = this.random(5);
    let shape = Array.from({ length: rank }, () => (this.chance(0.25) ? 1 : this.#sizes[this.random(3)]!));
    while (numel(shape) > 200) shape = shape.slice(1);
    return shape;
  }

  input(leaf = this.chance(0.5), dtype: DType = this.#dtype(leaf), shape = this.#shape()): Action | undefined {
    const data = Float64Array.from({ length: numel(shape) }, () => this.#value(dtype));
    return this.attempt({ kind: "input", id: this.next++, shape, dtype, data, leaf });
  }

  protected draw(makers: readonly Maker[], noGrad = this.chance(0.05)): CallAction | undefined {
    const drawn = makers[this.random(makers.length)]!(this);
    if (!drawn) return undefined;
    const results = Array.from({ length: drawn.results ?? 1 }, () => this.next++);
    const action: CallAction = { kind: "call", call: drawn.call, args: drawn.args, results, noGrad };
    return this.attempt(action);
  }
}
