import { type Action, ADAM, type CallAction, type Id, type Misuse, type Ownership } from "./program.ts";
import {
  behind,
  constant,
  detached,
  flows,
  type Gradient,
  gradientsOf,
  holds,
  Invalid,
  plus,
  reshaped,
  type Shadow,
} from "./shadow.ts";

/** What a tensor is to the program: its value now, and what may be done with it. */
export interface Slot {
  shadow: Shadow;
  readonly ownership: Ownership;
  disposed: boolean;
  /** Nobody names it any more; the collector may take it. */
  forgotten: boolean;
  /** Whether it is the same tensor as another is left open: neither may be disposed or written by itself. */
  pinned: boolean;
  /** Outlives scopes and backward passes. */
  kept: boolean;
  /** The scope that will dispose it. */
  frame: Slot[] | undefined;
}

/** What an action has to do besides giving the values of the world. */
export type Outcome = { readonly throws: true } | { readonly gradients: ReadonlyMap<Id, Gradient> } | undefined;

/**
 * The state of one task as it must be: which value each name has, who is disposed, whose graph is used up. It applies actions by
 * definition, without a device, and throws Invalid for those that a program may not contain.
 */
export class World {
  readonly slots = new Map<Id, Slot>();
  readonly #frames: Slot[][] = [];
  /** A checkpoint is one op on its arguments, whichever of them its result depends on. */
  readonly #arguments = new Map<Shadow, readonly Shadow[]>();
  /** What was kept out of a scope: its graph ends with that. */
  readonly #graphs = new Map<Slot[], Shadow[]>();
  /** Where absolute sums have to stay below. */
  readonly limit: number;
  readonly exact: boolean;

  constructor(exact: boolean) {
    this.exact = exact;
    this.limit = exact ? 2 ** 24 : 1e3;
  }

  get depth(): number {
    return this.#frames.length;
  }

  /** A tensor that may be used. */
  live(id: Id): Slot {
    const slot = this.slots.get(id);
    if (!slot || slot.disposed || slot.forgotten) throw new Invalid(`v${id} is not there`);
    return slot;
  }

  #enter(id: Id, shadow: Shadow, ownership: Ownership, pinned = false): Slot {
    if (!(shadow.largest < this.limit)) throw new Invalid("too large");
    const frame = this.#frames.at(-1);
    const slot: Slot = { shadow, ownership, disposed: false, forgotten: false, pinned, kept: false, frame };
    frame?.push(slot);
    this.slots.set(id, slot);
    return slot;
  }

  apply(action: Action): Outcome {
    switch (action.kind) {
      case "input": {
        const slot = this.#enter(action.id, constant(action.shape, action.dtype, action.data), "own");
        if (action.leaf) slot.shadow = constant(action.shape, action.dtype, action.data, slot);
        return;
      }
      case "call":
        return this.#call(action);
      case "checkpoint":
        return this.#checkpoint(action);
      case "assign":
        return this.#write(this.#target(action.target), this.live(action.value).shadow.data, action);
      case "adam":
        return this.#adam(action);
      case "dispose":
        this.#loose(action.id).disposed = true;
        return;
      case "forget":
        this.#loose(action.id).forgotten = true;
        return;
      case "keep": {
        const slot = this.#loose(action.id);
        // A tensor that was there before the scope, or was kept before, is not in any.
        if (slot.frame) this.#graphs.set(slot.frame, [...(this.#graphs.get(slot.frame) ?? []), slot.shadow]);
        slot.frame = undefined;
        slot.kept = true;
        return;
      }
      case "read":
        this.live(action.id);
        return;
      case "scope": {
        this.enterScope();
        for (const inner of action.body) this.apply(inner);
        this.leaveScope(action.returns, action.throws);
        return;
      }
      case "backward":
        return this.#backward(action);
      case "misuse":
        return this.#misuse(action.how, action.id);
      default:
        return;
    }
  }

  #loose(id: Id): Slot {
    const slot = this.live(id);
    if (slot.pinned) throw new Invalid("pinned");
    return slot;
  }

  /** The result of a call; one that is an argument itself is that tensor under another name. */
  #call({ call, args, results, noGrad }: CallAction): undefined {
    const operands = args.map((id) => this.live(id));
    const given = operands.map(({ shadow }) => shadow);
    const made = [call.shadow(...given)].flat() as Shadow[];
    if (made.some(({ largest }) => !(largest < this.limit))) throw new Invalid("too large");
    for (const [i, result] of made.entries()) {
      const same = given.indexOf(result);
      if (same >= 0) this.slots.set(results[i]!, operands[same]!);
      else this.#enter(results[i]!, noGrad ? detached(result) : result, call.ownership);
    }
  }

  #checkpoint({ args, body, from, result }: Extract<Action, { kind: "checkpoint" }>): undefined {
    const inner = new World(this.exact);
    const parameters = new Set(body.flatMap((action) => action.args));
    for (const id of parameters) {
      const outer = this.slots.get(id);
      if (!outer) continue;
      const slot = this.live(id);
      // What is not an argument is a parameter, which is read again on the way back: it must stay as it is.
      if (!args.includes(id)) {
        if (slot.shadow.edges.length > 0) throw new Invalid("an argument is missing");
        slot.pinned = true;
      }
      inner.slots.set(id, slot);
    }
    for (const id of args) inner.slots.set(id, this.live(id));
    for (const action of body) inner.apply(action);
    const slot = inner.live(from);
    const outside = [...this.slots.values()].includes(slot);
    if (outside) slot.pinned = true;
    // A value of its own in the graph, even where it is the argument.
    if (!flows(slot.shadow)) throw new Invalid("a checkpoint of nothing");
    const made = this.#enter(result, outside ? reshaped(slot.shadow, slot.shadow.shape) : slot.shadow, "open", outside);
    this.#arguments.set(
      made.shadow,
      args.map((id) => this.live(id).shadow),
    );
  }

  #target(id: Id): Slot {
    const slot = this.#loose(id);
    if (slot.ownership !== "own" || slot.shadow.edges.length > 0) throw new Invalid("not to be written");
    return slot;
  }

  #write(slot: Slot, data: Float64Array, like: { target: Id; value: Id } | undefined): undefined {
    const { shape, dtype, leaf } = slot.shadow;
    const value = like && this.live(like.value).shadow;
    if (value && (value.shape.join() !== shape.join() || value.dtype !== dtype)) throw new Invalid("does not fit");
    slot.shadow = constant(shape, dtype, data, leaf);
  }

  #adam({ param, grad, expAvg, expAvgSq, step }: Extract<Action, { kind: "adam" }>): undefined {
    const slots = [param, expAvg, expAvgSq].map((id) => this.#target(id));
    const [p, m, v] = slots.map(({ shadow }) => shadow) as [Shadow, Shadow, Shadow];
    const g = this.live(grad).shadow;
    if (new Set(slots).size < 3 || [m, v, g].some((x) => x.shape.join() !== p.shape.join() || x.dtype !== "f32"))
      throw new Invalid("does not fit");
    if (v.data.some((x) => x < 0)) throw new Invalid("a negative square");
    const { lr, beta1, beta2, eps, weightDecay } = ADAM;
    const mean = m.data.map((x, i) => beta1 * x + (1 - beta1) * g.data[i]!);
    const square = v.data.map((x, i) => beta2 * x + (1 - beta2) * g.data[i]! ** 2);
    const moved = p.data.map((x, i) => {
      const root = Math.sqrt(square[i]! / (1 - beta2 ** step)) + eps;
      return x * (1 - lr * weightDecay) - (lr * (mean[i]! / (1 - beta1 ** step))) / root;
    });
    [moved, mean, square].forEach((data, i) => {
      this.#write(slots[i]!, data, undefined);
    });
  }

  enterScope(): void {
    this.#frames.push([]);
  }

  /** Ends the innermost scope. Returns what has to be disposed now. */
  leaveScope(returns: readonly Id[], throws: boolean): readonly Slot[] {
    const frame = this.#frames.pop()!;
    const outer = this.#frames.at(-1);
    const leaving = new Set(throws ? [] : returns.map((id) => this.live(id)));
    for (const slot of leaving) if (slot.shadow.edges.length > 0 && slot.frame === frame) throw new Invalid("a graph");
    for (const shadow of this.#graphs.get(frame) ?? []) if (shadow.edges.length > 0) shadow.spent = "yes";
    const ended: Slot[] = [];
    for (const slot of frame) {
      if (slot.frame !== frame || slot.disposed) continue;
      slot.frame = outer;
      if (leaving.has(slot)) outer?.push(slot);
      else {
        slot.disposed = true;
        ended.push(slot);
      }
    }
    return ended;
  }

  #backward({ loss, retain, wrt, gradients }: Extract<Action, { kind: "backward" }>): Outcome {
    const { shadow } = this.live(loss);
    if (shadow.data.length !== 1 || shadow.edges.length === 0) throw new Invalid("no loss");
    const graph = behind(shadow).filter((x) => x.edges.length > 0);
    const besides = this.#besides(graph);
    if (besides.some((x) => x.spent !== "no")) throw new Invalid("an argument without effect has no graph any more");
    if (graph.some((x) => x.spent === "unknown" || (x.spent === "yes" && x.joint))) throw new Invalid("left open");
    if (graph.some((x) => x.spent === "yes")) {
      for (const x of graph) if (x.spent === "no") x.spent = "unknown";
      return { throws: true };
    }
    const all = gradientsOf(shadow);
    const byLeaf = new Map<object, Gradient>();
    for (const [x, gradient] of all) {
      if (this.exact && !gradient.size.every((size, i) => isExact(size) && isExact(gradient.sum[i]!)))
        throw new Invalid("a gradient that is not exact");
      const known = x.leaf && byLeaf.get(x.leaf);
      if (x.leaf)
        byLeaf.set(
          x.leaf,
          known ? { sum: plus(known.sum, gradient.sum), size: plus(known.size, gradient.size) } : gradient,
        );
    }
    const wanted = new Map<Id, Gradient>();
    for (const [of] of gradients) {
      const slot = this.live(of);
      const gradient = slot.shadow.leaf ? byLeaf.get(slot) : all.get(slot.shadow);
      if (!gradient) throw new Invalid("no gradient");
      if (gradient.size.some((size) => !(size < this.limit))) throw new Invalid("too large");
      // What cancels is mostly rounding error, and no value to go on with.
      if (!this.exact && !(Math.max(0, ...gradient.size) <= 1 + 10 * Math.max(0, ...gradient.sum.map(Math.abs))))
        throw new Invalid("cancelled");
      if (!gradient.sum.every((value) => holds(slot.shadow.dtype, value))) throw new Invalid("rounded");
      wanted.set(of, gradient);
    }
    if (!retain) this.#spend(loss, wrt ? gradients.map(([of]) => of) : [], new Set([...graph, ...besides]));
    // Several leaves may share one gradient, so none is anyone's to dispose.
    for (const [of, name] of gradients) {
      const { shape, dtype } = this.live(of).shadow;
      this.#enter(name, constant(shape, dtype, wanted.get(of)!.sum), "open", true);
    }
    return { gradients: wanted };
  }

  /** What lies between the leaves and the loss is given back with its graph, but what is asked for. */
  #spend(loss: Id, asked: readonly Id[], graph: ReadonlySet<Shadow>): void {
    const stay = new Set([loss, ...asked].map((id) => this.live(id)));
    for (const x of graph) x.spent = "yes";
    const joint = [...graph].some((x) => x.joint);
    for (const slot of this.slots.values()) {
      const { shadow } = slot;
      if (slot.disposed || slot.forgotten || slot.kept || stay.has(slot)) continue;
      // What came with one of the graph goes with it, also what is empty and depends on nothing; what is pinned may be something else.
      const beside =
        shadow.edges.some(({ to }) => to.joint && graph.has(to)) || (joint && shadow.data.length === 0 && !shadow.leaf);
      if (graph.has(shadow) && !slot.pinned) slot.disposed = true;
      else if (graph.has(shadow) || beside) slot.forgotten = true;
    }
  }

  /** What lies behind the arguments of checkpoints in a graph, and is not in it by itself. */
  #besides(graph: readonly Shadow[]): readonly Shadow[] {
    const known = new Set(graph);
    const waiting = [...graph];
    for (let x = waiting.pop(); x; x = waiting.pop()) {
      for (const y of (this.#arguments.get(x) ?? []).flatMap((argument) => behind(argument))) {
        if (y.edges.length === 0 || known.has(y)) continue;
        known.add(y);
        waiting.push(y);
      }
    }
    return [...known].slice(graph.length);
  }

  /** Whether the gradient of `loss` arrives at a tensor as it is now, or as it was. */
  reaches(loss: Id, slot: Slot): boolean {
    return behind(this.live(loss).shadow).some((x) => x === slot.shadow || (x.leaf !== undefined && x.leaf === slot));
  }

  #misuse(how: Misuse, id: Id): Outcome {
    const slot = this.slots.get(id);
    if (!slot || slot.forgotten || slot.pinned) throw new Invalid("not there");
    if (slot.disposed !== how.startsWith("disposed")) throw new Invalid("not (yet) disposed");
    if (how === "view" && slot.ownership !== "view") throw new Invalid("no view");
    return { throws: true };
  }
}

function isExact(x: number): boolean {
  return Math.abs(x) < 2 ** 16 && Number.isInteger(x * 2 ** 8);
}

/** What of a program is left when it has lost some of its actions: all that still make sense. */
export function sensible(actions: readonly Action[], world: World): Action[] {
  const kept: Action[] = [];
  for (const action of actions) {
    if (action.kind === "scope") {
      world.enterScope();
      const body = sensible(action.body, world);
      const returns = action.returns.filter((id) => {
        const slot = world.slots.get(id);
        return slot && !slot.disposed && !slot.forgotten && slot.shadow.edges.length === 0;
      });
      world.leaveScope(returns, action.throws);
      kept.push({ ...action, body, returns });
      continue;
    }
    try {
      world.apply(action);
      kept.push(action);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
    }
  }
  return kept;
}
