import type { DType, Shape } from "../../src/index.ts";
import { numel } from "../../src/shape.ts";
import { seeded } from "../../src/testing.ts";
import type { Maker, Pool } from "./draw.ts";
import { MOVES } from "./moves.ts";
import * as pointwise from "./pointwise.ts";
import type { Action, CallAction, Id, Misuse, Program } from "./program.ts";
import * as reductions from "./reductions.ts";
import { Invalid, type Shadow } from "./shadow.ts";
import { type Slot, World } from "./world.ts";

/** What programs are made of. */
export interface Kind {
  readonly exact: boolean;
  /** Draws from few formulas, so that programs share their kernels. */
  readonly few: boolean;
  /** How many devices there are to choose from. */
  readonly devices: number;
}

const MISUSES: readonly Misuse[] = [
  "disposed",
  "disposedRead",
  "disposedTarget",
  "disposedValue",
  "view",
  "view",
  "device",
  "deviceValue",
];

/** Draws the actions of one task: each is tried on the world, and drawn anew where it makes no sense. */
class Writer implements Pool {
  readonly #world: World;
  readonly #uniform: () => number;
  readonly #kind: Kind;
  readonly #pointwise: readonly Maker[];
  readonly #others: readonly Maker[];
  readonly #loss: Maker;
  readonly #sizes: readonly number[];
  #next = 1;
  /** In a burst of pointwise ops: the value that each one takes. */
  #focus: Id | undefined;
  #big: boolean;
  /** Adam's moments and steps, by parameter. */
  readonly #moments = new Map<Id, { expAvg: Id; expAvgSq: Id; step: number }>();

  constructor(seed: number, kind: Kind) {
    this.#world = new World(kind.exact);
    this.#uniform = seeded(seed);
    this.#uniform();
    this.#kind = kind;
    const exact = kind.few ? pointwise.EXACT_FEW : pointwise.EXACT;
    this.#pointwise = kind.exact ? exact : pointwise.REAL;
    this.#others = [...MOVES, ...(kind.exact ? reductions.EXACT : reductions.REAL)];
    this.#loss = reductions.loss(kind.exact);
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
    return this.#world.live(id).shadow;
  }

  find(fits: (x: Shadow) => boolean = () => true): Id | undefined {
    if (this.#focus !== undefined && this.chance(0.8) && this.#is(this.#focus, fits)) return this.#focus;
    return this.#where(({ shadow }) => fits(shadow));
  }

  #is(id: Id, fits: (x: Shadow) => boolean): boolean {
    const slot = this.#world.slots.get(id);
    return slot !== undefined && !slot.disposed && !slot.forgotten && fits(slot.shadow);
  }

  #where(fits: (slot: Slot) => boolean, live = true): Id | undefined {
    const ids = [...this.#world.slots].flatMap(([id, slot]) =>
      (!live || !(slot.disposed || slot.forgotten)) && fits(slot) ? [id] : [],
    );
    if (ids.length === 0) return undefined;
    const recent = ids.slice(-5);
    return this.chance(0.5) ? recent[this.random(recent.length)] : ids[this.random(ids.length)];
  }

  /** Applies an action that makes sense; undefined for one that does not. */
  #try<A extends Action>(action: A | undefined): A | undefined {
    if (!action) return undefined;
    try {
      this.#world.apply(action);
      return action;
    } catch (error) {
      if (error instanceof Invalid) return undefined;
      throw error;
    }
  }

  #value(dtype: DType): number {
    if (!this.#kind.exact) return dtype === "f32" ? Math.fround(2 * this.#uniform() - 1) : this.random(2);
    if (dtype === "bool") return this.random(2);
    return dtype === "i32" ? this.random(4) : this.random(7) - 3;
  }

  #shape(): Shape {
    if (this.#big && this.chance(0.5)) return this.chance(0.5) ? [100_003] : [317, 316];
    const rank = this.random(5);
    let shape = Array.from({ length: rank }, () => (this.chance(0.25) ? 1 : this.#sizes[this.random(3)]!));
    while (numel(shape) > 200) shape = shape.slice(1);
    return shape;
  }

  input(
    leaf = this.chance(0.5),
    dtype: DType = leaf || this.chance(0.4) ? "f32" : this.chance(0.7) ? "i32" : "bool",
    shape = this.#shape(),
  ): Action | undefined {
    const data = Float64Array.from({ length: numel(shape) }, () => this.#value(dtype));
    return this.#try({ kind: "input", id: this.#next++, shape, dtype, data, leaf });
  }

  #draw(makers: readonly Maker[], noGrad = this.chance(0.05)): CallAction | undefined {
    const drawn = makers[this.random(makers.length)]!(this);
    if (!drawn) return undefined;
    const results = Array.from({ length: drawn.results ?? 1 }, () => this.#next++);
    const action: CallAction = { kind: "call", call: drawn.call, args: drawn.args, results, noGrad };
    return this.#try(action);
  }

  #call(): Action | undefined {
    return this.#draw(this.chance(0.5) ? this.#pointwise : this.#others);
  }

  /** A chain of pointwise ops, each on the one before: trees are taken in, grow too large, read too many tensors. */
  #burst(): Action[] {
    const actions: Action[] = [];
    for (let left = 3 + this.random(this.#kind.few ? 4 : 12); left > 0; left--) {
      const action = this.#draw(this.#pointwise, false);
      if (!action) continue;
      actions.push(action);
      this.#focus = action.results[0];
    }
    this.#focus = undefined;
    return actions;
  }

  #write(): Action | undefined {
    const target = this.#where(({ ownership, shadow }) => ownership === "own" && shadow.edges.length === 0);
    if (target === undefined) return undefined;
    const { shape, dtype } = this.at(target);
    const value = this.find((x) => x.dtype === dtype && x.shape.join() === shape.join());
    return this.#try({ kind: "assign", target, value: value ?? target });
  }

  /** A write whose value was made from the target just now. */
  #selfWrite(): Action[] {
    const target = this.#where(({ ownership, shadow }) => ownership === "own" && shadow.edges.length === 0);
    if (target === undefined) return [];
    this.#focus = target;
    const call = this.#draw(this.chance(0.5) ? this.#pointwise : MOVES);
    this.#focus = undefined;
    const write = call && this.#try({ kind: "assign", target, value: call.results[0]! });
    return [call, write].filter((action) => action !== undefined);
  }

  #adam(): Action[] {
    const param = this.#where(
      ({ ownership, shadow }) => ownership === "own" && shadow.dtype === "f32" && shadow.edges.length === 0,
    );
    if (param === undefined) return [];
    const { shape } = this.at(param);
    const grad = this.find((x) => x.dtype === "f32" && x.shape.join() === shape.join() && x.edges.length === 0)!;
    const actions: (Action | undefined)[] = [];
    let moments = this.#moments.get(param);
    if (!moments) {
      const zeros = (): Id => {
        const id = this.#next++;
        actions.push(
          this.#try({ kind: "input", id, shape, dtype: "f32", data: new Float64Array(numel(shape)), leaf: false }),
        );
        return id;
      };
      moments = { expAvg: zeros(), expAvgSq: zeros(), step: 1 };
      this.#moments.set(param, moments);
    }
    actions.push(this.#try({ kind: "adam", param, grad, ...moments }));
    moments.step++;
    return actions.filter((action) => action !== undefined);
  }

  #scope(): Action {
    this.#world.enterScope();
    const before = new Set(this.#world.slots.keys());
    const body = this.actions(2 + this.random(8), true);
    const throws = this.chance(0.2);
    const returns: Id[] = [];
    for (const [id, slot] of this.#world.slots) {
      const inside = !before.has(id) || this.chance(0.1);
      if (inside && !slot.disposed && !slot.forgotten && slot.shadow.edges.length === 0 && this.chance(0.4))
        returns.push(id);
    }
    this.#world.leaveScope(returns, throws);
    return { kind: "scope", body, returns, throws };
  }

  #checkpoint(): Action | undefined {
    const args = [this.find((x) => x.dtype === "f32"), this.find()]
      .filter((id) => id !== undefined)
      .slice(0, 1 + this.random(2));
    if (args.length === 0) return undefined;
    // Drawn in a world of its own, which knows the arguments and, now and then, a parameter.
    const inner = new Writer(this.random(2 ** 31), this.#kind);
    inner.#next = this.#next;
    for (const id of args) inner.#world.slots.set(id, this.#world.live(id));
    const parameter = this.chance(0.3) ? this.#where(({ shadow }) => shadow.leaf !== undefined) : undefined;
    if (parameter !== undefined) inner.#world.slots.set(parameter, this.#world.live(parameter));
    const body: CallAction[] = [];
    for (let left = this.random(6); left > 0; left--) {
      const action = inner.#draw([...inner.#pointwise, ...inner.#others], false);
      if (action) body.push(action);
    }
    const results = [...args, ...body.flatMap((action) => action.results)].filter((id) => inner.at(id).dtype === "f32");
    this.#next = inner.#next;
    if (results.length === 0) return undefined;
    const from = results[this.chance(0.6) ? results.length - 1 : this.random(results.length)]!;
    return this.#try({ kind: "checkpoint", args, body, from, result: this.#next++ });
  }

  /** A loss, perhaps other actions, and gradients of it: once, twice, with and without the graph kept. */
  #train(inScope: boolean): Action[] {
    const loss = this.#draw([this.#loss], false);
    if (!loss) return [];
    const between = this.chance(0.6) ? this.actions(1 + this.random(4), inScope, 0.6) : [];
    return [
      loss,
      ...between,
      ...this.#backward(loss.results[0]!),
      ...(this.chance(0.3) ? this.#backward(loss.results[0]!) : []),
    ];
  }

  #backward(loss: Id): Action[] {
    if (!this.#is(loss, (x) => x.edges.length > 0)) return [];
    const retain = this.chance(0.5);
    const wrt = this.chance(0.2);
    const seen = new Set<Slot>();
    const gradients: (readonly [Id, Id])[] = [];
    for (const [id, slot] of this.#world.slots) {
      if (slot.disposed || slot.forgotten || seen.has(slot)) continue;
      const wanted = wrt ? slot.shadow.edges.length > 0 && this.chance(0.3) : slot.shadow.leaf !== undefined;
      if (!wanted || !this.#world.reaches(loss, slot)) continue;
      seen.add(slot);
      gradients.push([id, this.#next++]);
    }
    const action = this.#try<Action>({ kind: "backward", loss, retain, gradients, wrt: wrt && gradients.length > 0 });
    return action ? [action] : [];
  }

  #simple(kind: "dispose" | "forget" | "keep" | "read"): Action | undefined {
    const id = this.find();
    return id === undefined ? undefined : this.#try({ kind, id });
  }

  #misuse(): Action | undefined {
    const how = MISUSES[this.random(MISUSES.length)]!;
    const id = this.#where(
      (slot) => (how === "view" ? slot.ownership === "view" : slot.disposed === how.startsWith("disposed")),
      !how.startsWith("disposed"),
    );
    return id === undefined ? undefined : this.#try({ kind: "misuse", how, id });
  }

  /** One or a few actions; with `restless`, rather those that disturb others. */
  #some(inScope: boolean, restless: number): (Action | undefined)[] {
    if (!this.chance(restless)) return [this.#call()];
    switch (this.random(22)) {
      case 0:
      case 1:
        return this.#burst();
      case 2:
        return [this.input()];
      case 3:
      case 4:
        return [this.#write()];
      case 5:
      case 6:
        return this.#selfWrite();
      case 7:
      case 8:
      case 9:
        return [this.#simple("dispose")];
      case 10:
        return [this.#simple("forget")];
      case 11:
      case 12:
        return [this.#simple("read")];
      case 13:
        return this.#world.depth < 3 ? [this.#scope()] : [];
      case 14:
        return [this.#checkpoint()];
      case 15:
      case 16:
      case 17:
        return this.#train(inScope);
      case 18:
        return [this.#misuse()];
      case 19:
        return inScope ? [this.#simple("keep")] : [{ kind: (["settle", "sync", "turn"] as const)[this.random(3)]! }];
      case 20:
        return this.chance(0.15) ? [{ kind: "collect" }] : [];
      default:
        return this.#kind.exact ? [] : this.#adam();
    }
  }

  actions(count: number, inScope: boolean, restless = 0.45): Action[] {
    const actions: Action[] = [];
    while (actions.length < count) {
      const some = this.#some(inScope, restless).filter((action) => action !== undefined);
      actions.push(...some);
      if (some.length === 0) count--;
    }
    return actions;
  }

  task(): Action[] {
    const inputs = Array.from({ length: 4 }, (_, i) => this.input(i < 2));
    const index = this.input(false, "i32", [1 + this.random(4)]);
    return [...inputs, index]
      .filter((action) => action !== undefined)
      .concat(this.actions(10 + this.random(30), false));
  }
}

/** The program of a seed: one task, or two side by side, on one device or on two. */
export function generate(seed: number, kind: Kind): Program {
  const uniform = seeded(seed);
  uniform();
  const tasks = uniform() < 0.3 ? 2 : 1;
  return {
    seed,
    tasks: Array.from({ length: tasks }, (_, i) => ({
      device: Math.floor(uniform() * kind.devices),
      actions: new Writer(seed * 2 + i * 1_000_003, kind).task(),
    })),
  };
}
