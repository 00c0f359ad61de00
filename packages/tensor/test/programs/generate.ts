import { numel } from "../../src/shape.ts";
import { seeded } from "../../src/testing.ts";
import { MOVES } from "./moves.ts";
import type { Action, CallAction, Id, Misuse, Program } from "./program.ts";
import type { Slot } from "./world.ts";
import { type Kind, Writer } from "./writer.ts";

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

/** Draws the actions of one task. */
class Author extends Writer {
  /** Adam's moments and steps, by parameter. */
  readonly #moments = new Map<Id, { expAvg: Id; expAvgSq: Id; step: number }>();

  #call(): Action | undefined {
    return this.draw(this.chance(0.5) ? this.pointwise : this.others);
  }

  /** A chain of pointwise ops, each on the one before: trees are taken in, grow too large, read too many tensors. */
  #burst(): Action[] {
    const actions: Action[] = [];
    this.focus = this.find(({ shape }) => shape.length > 0);
    for (let left = 3 + this.random(this.kind.few ? 4 : 12); left > 0; left--) {
      const action = this.draw(this.pointwise, false);
      if (!action) continue;
      actions.push(action);
      const before = this.focus;
      this.focus = action.results[0];
      // The one before goes: whoever took it in has to hold what it still reads.
      const end = before === undefined || !this.chance(0.4) ? undefined : this.chance(0.7) ? "dispose" : "forget";
      const gone = end && this.attempt<Action>({ kind: end, id: before! });
      if (gone) actions.push(gone);
    }
    this.focus = undefined;
    return actions;
  }

  /** A write of another value, or of fresh numbers, to a tensor of its own (by default any). */
  #write(fits: (slot: Slot) => boolean = () => true): Action[] {
    const target = this.where((slot) => slot.ownership === "own" && slot.shadow.edges.length === 0 && fits(slot));
    if (target === undefined) return [];
    const { shape, dtype } = this.at(target);
    const fresh = this.chance(0.4) ? this.input(false, dtype, shape) : undefined;
    const value = this.next - 1;
    const other = this.find((x) => x.dtype === dtype && x.shape.join() === shape.join());
    const write = this.attempt({ kind: "assign", target, value: fresh ? value : other! });
    return [fresh, write].filter((action) => action !== undefined);
  }

  /** A write whose value was made from the target just now. */
  #selfWrite(): Action[] {
    const target = this.where(({ ownership, shadow }) => ownership === "own" && shadow.edges.length === 0);
    if (target === undefined) return [];
    this.focus = target;
    const call = this.draw(this.chance(0.5) ? this.pointwise : MOVES);
    this.focus = undefined;
    const write = call && this.attempt({ kind: "assign", target, value: call.results[0]! });
    return [call, write].filter((action) => action !== undefined);
  }

  #adam(): Action[] {
    const param = this.where(
      ({ ownership, shadow }) => ownership === "own" && shadow.dtype === "f32" && shadow.edges.length === 0,
    );
    if (param === undefined) return [];
    const { shape } = this.at(param);
    const grad = this.find((x) => x.dtype === "f32" && x.shape.join() === shape.join() && x.edges.length === 0)!;
    const actions: (Action | undefined)[] = [];
    let moments = this.#moments.get(param);
    if (!moments) {
      const zeros = (): Id => {
        const id = this.next++;
        actions.push(
          this.attempt({ kind: "input", id, shape, dtype: "f32", data: new Float64Array(numel(shape)), leaf: false }),
        );
        return id;
      };
      moments = { expAvg: zeros(), expAvgSq: zeros(), step: 1 };
      this.#moments.set(param, moments);
    }
    actions.push(this.attempt({ kind: "adam", param, grad, ...moments }));
    moments.step++;
    return actions.filter((action) => action !== undefined);
  }

  #scope(): Action {
    this.world.enterScope();
    const before = new Set(this.world.slots.keys());
    const body = this.actions(2 + this.random(8), true);
    const throws = this.chance(0.2);
    const returns: Id[] = [];
    for (const [id, slot] of this.world.slots) {
      const inside = !before.has(id) || this.chance(0.1);
      if (inside && !slot.disposed && !slot.forgotten && slot.shadow.edges.length === 0 && this.chance(0.4))
        returns.push(id);
    }
    this.world.leaveScope(returns, throws);
    return { kind: "scope", body, returns, throws };
  }

  #checkpoint(): Action | undefined {
    const args = [this.find((x) => x.dtype === "f32"), this.find()]
      .filter((id) => id !== undefined)
      .slice(0, 1 + this.random(2));
    if (args.length === 0) return undefined;
    // Drawn in a world of its own, which knows the arguments and, now and then, a parameter.
    const inner = new Author(this.random(2 ** 31), this.kind);
    inner.next = this.next;
    for (const id of args) inner.world.slots.set(id, this.world.live(id));
    const parameter = this.chance(0.3) ? this.where(({ shadow }) => shadow.leaf !== undefined) : undefined;
    if (parameter !== undefined) inner.world.slots.set(parameter, this.world.live(parameter));
    const body: CallAction[] = [];
    for (let left = this.random(6); left > 0; left--) {
      const action = inner.draw([...inner.pointwise, ...inner.others], false);
      if (action) body.push(action);
    }
    const results = [...args, ...body.flatMap((action) => action.results)].filter((id) => inner.at(id).dtype === "f32");
    this.next = inner.next;
    if (results.length === 0) return undefined;
    const from = results[this.chance(0.6) ? results.length - 1 : this.random(results.length)]!;
    return this.attempt({ kind: "checkpoint", args, body, from, result: this.next++ });
  }

  /** A loss, perhaps other actions, and gradients of it: once, twice, with and without the graph kept. */
  #train(inScope: boolean): Action[] {
    const loss = this.draw([this.loss], false);
    if (!loss) return [];
    const between = this.chance(0.6) ? this.actions(1 + this.random(4), inScope, 0.6) : [];
    const to = loss.results[0]!;
    const writes = this.chance(0.4)
      ? this.#write((slot) => slot.shadow.leaf !== undefined && this.has(to, () => this.world.reaches(to, slot)))
      : [];
    return [
      loss,
      ...between,
      ...writes,
      ...this.#backward(loss.results[0]!),
      ...(this.chance(0.3) ? this.#backward(loss.results[0]!) : []),
    ];
  }

  #backward(loss: Id): Action[] {
    if (!this.has(loss, (x) => x.edges.length > 0)) return [];
    const retain = this.chance(0.5);
    const wrt = this.chance(0.2);
    const seen = new Set<Slot>();
    const gradients: (readonly [Id, Id])[] = [];
    for (const [id, slot] of this.world.slots) {
      if (slot.disposed || slot.forgotten || seen.has(slot)) continue;
      const wanted = wrt ? slot.shadow.edges.length > 0 && this.chance(0.3) : slot.shadow.leaf !== undefined;
      if (!wanted || !this.world.reaches(loss, slot)) continue;
      seen.add(slot);
      gradients.push([id, this.next++]);
    }
    const action = this.attempt<Action>({
      kind: "backward",
      loss,
      retain,
      gradients,
      wrt: wrt && gradients.length > 0,
    });
    return action ? [action] : [];
  }

  #simple(kind: "dispose" | "forget" | "keep" | "read"): Action | undefined {
    const id = this.find();
    return id === undefined ? undefined : this.attempt({ kind, id });
  }

  #misuse(): Action | undefined {
    const how = MISUSES[this.random(MISUSES.length)]!;
    const id = this.where(
      (slot) => (how === "view" ? slot.ownership === "view" : slot.disposed === how.startsWith("disposed")),
      !how.startsWith("disposed"),
    );
    return id === undefined ? undefined : this.attempt({ kind: "misuse", how, id });
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
        return this.#write();
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
        return this.world.depth < 3 ? [this.#scope()] : [];
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
        return this.kind.exact ? [] : this.#adam();
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
      actions: new Author(seed * 2 + i * 1_000_003, kind).task(),
    })),
  };
}
