import * as T from "../../src/index.ts";
import { expectGradient, expectMisuse, expectSame, expectThrow } from "./expect.ts";
import { type Action, ADAM, type CallAction, type Id, listing, type Misuse, type Program } from "./program.ts";
import type { Shadow } from "./shadow.ts";
import { type Slot, World } from "./world.ts";

/** Where programs run. */
export interface Stage {
  readonly devices: readonly T.Device[];
  readonly exact: boolean;
  readonly collect: () => void;
}

const ON_PURPOSE = new Error("on purpose");

/** Numbers that are on their way. */
interface Read {
  readonly what: string;
  readonly numbers: Promise<T.HostArray>;
  /** Undefined where the read has to fail. */
  readonly check: ((numbers: T.HostArray) => void) | undefined;
}

/** One task on its device, step by step beside its world. */
class Actor {
  readonly #world: World;
  readonly #stage: Stage;
  readonly #device: T.Device;
  readonly #tensors = new Map<Id, T.Tensor>();
  #reads: Read[] = [];

  constructor(stage: Stage, device: T.Device) {
    this.#stage = stage;
    this.#device = device;
    this.#world = new World(stage.exact);
  }

  async run(actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      try {
        if (action.kind === "settle") await this.#settle();
        else if (action.kind === "sync") await this.#device.sync();
        else if (action.kind === "turn") await new Promise((resolve) => setImmediate(resolve));
        else this.#act(action);
      } catch (error) {
        throw new Error(`at ${listing([action], "")[0]}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
    const last = new Set<T.Tensor>();
    for (const [id, slot] of this.#world.slots)
      if (!slot.disposed && !slot.forgotten) this.#read(id, `at the end, v${id}`);
    await this.#settle();
    for (const tensor of this.#tensors.values()) last.add(tensor);
    for (const tensor of last) tensor.dispose();
  }

  /** Gives everything up, after a failure. */
  abandon(): void {
    for (const { numbers } of this.#reads) numbers.catch(() => undefined);
    for (const tensor of this.#tensors.values()) tensor.dispose();
  }

  #tensor(id: Id): T.Tensor {
    const tensor = this.#tensors.get(id);
    if (!tensor) throw new Error(`internal: v${id} is missing`);
    return tensor;
  }

  #read(id: Id, what: string): void {
    const { shadow } = this.#world.live(id);
    this.#expect(this.#tensor(id), what, (numbers) => expectSame(numbers, shadow, this.#stage.exact, what));
  }

  #expect(tensor: T.Tensor, what: string, check: Read["check"]): void {
    const numbers = tensor.data();
    // It is awaited later, and must not count as unhandled until then.
    numbers.catch(() => undefined);
    this.#reads.push({ what, numbers, check });
  }

  async #settle(): Promise<void> {
    for (const { what, numbers, check } of this.#reads.splice(0)) {
      if (check) {
        check(await numbers);
        continue;
      }
      const error = await numbers.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!(error instanceof T.DisposedError)) throw new Error(`${what}: got ${error}, right is a DisposedError`);
    }
  }

  /** Does an action on the device, then in the world, and compares what can be compared at once. */
  #act(action: Action): void {
    switch (action.kind) {
      case "input": {
        const { id, data, shape, dtype, leaf } = action;
        const tensor = this.#device.tensor(data, shape, { dtype });
        this.#tensors.set(id, leaf ? T.requireGrad(tensor) : tensor);
        this.#world.apply(action);
        return;
      }
      case "call":
        this.#call(action);
        return;
      case "checkpoint":
        this.#checkpoint(action);
        return;
      case "scope":
        this.#scope(action);
        return;
      case "backward":
        this.#backward(action);
        return;
      case "misuse":
        this.#world.apply(action);
        this.#misuse(action.how, action.id);
        return;
      case "assign":
        T.assign(this.#tensor(action.target), this.#tensor(action.value));
        break;
      case "adam": {
        const [param, grad, expAvg, expAvgSq] = [action.param, action.grad, action.expAvg, action.expAvgSq].map((id) =>
          this.#tensor(id),
        );
        T.adamStep({ param: param!, grad: grad!, expAvg: expAvg!, expAvgSq: expAvgSq!, step: action.step, ...ADAM });
        break;
      }
      case "dispose":
        this.#tensor(action.id).dispose();
        break;
      case "forget":
        this.#forget(action.id);
        break;
      case "keep":
        T.keep(this.#tensor(action.id));
        break;
      case "read":
        this.#read(action.id, `the read of v${action.id}`);
        break;
      case "collect":
        this.#stage.collect();
    }
    this.#world.apply(action);
  }

  #forget(id: Id): void {
    const tensor = this.#tensor(id);
    for (const [name, other] of this.#tensors) if (other === tensor) this.#tensors.delete(name);
  }

  #call(action: CallAction): void {
    const { call, args, results, noGrad } = action;
    const given = args.map((id) => this.#tensor(id));
    const made = [noGrad ? T.noGrad(() => call.run(...given)) : call.run(...given)].flat() as T.Tensor[];
    const operands = args.map((id) => this.#world.slots.get(id));
    this.#world.apply(action);
    for (const [i, id] of results.entries()) {
      const tensor = made[i]!;
      const slot = this.#world.live(id);
      this.#tensors.set(id, tensor);
      this.#expectShape(tensor, slot.shadow, id);
      const same = given.indexOf(tensor);
      const shouldBe = operands.indexOf(slot);
      if (same >= 0 !== shouldBe >= 0)
        throw new Error(
          `v${id}: ${same >= 0 ? "is" : "is not"} the argument itself, right is ${same >= 0 ? "a tensor of its own" : "that"}`,
        );
    }
  }

  #expectShape(tensor: T.Tensor, { shape, dtype }: Shadow, id: Id): void {
    const right = T.describe({ shape, dtype });
    if (T.describe(tensor) !== right) throw new Error(`v${id} is ${T.describe(tensor)}, right is ${right}`);
  }

  #checkpoint(action: Extract<Action, { kind: "checkpoint" }>): void {
    const { args, body, from, result } = action;
    const work = (...inputs: T.Tensor[]): T.Tensor => {
      const inner = new Map(this.#tensors);
      args.forEach((id, i) => {
        inner.set(id, inputs[i]!);
      });
      for (const { call, args, results } of body) {
        const made = [call.run(...args.map((id) => inner.get(id)!))].flat() as T.Tensor[];
        results.forEach((id, i) => {
          inner.set(id, made[i]!);
        });
      }
      return inner.get(from)!;
    };
    const y = T.checkpoint(work, ...args.map((id) => this.#tensor(id)));
    this.#tensors.set(result, y);
    this.#world.apply(action);
    this.#expectShape(y, this.#world.live(result).shadow, result);
  }

  #scope({ body, returns, throws }: Extract<Action, { kind: "scope" }>): void {
    this.#world.enterScope();
    const work = (): T.Tensor[] => {
      for (const inner of body) this.#act(inner);
      if (throws) throw ON_PURPOSE;
      return returns.map((id) => this.#tensor(id));
    };
    try {
      T.scope(work);
    } catch (error) {
      if (error !== ON_PURPOSE) throw error;
    }
    const ended = new Set<Slot>(this.#world.leaveScope(returns, throws));
    for (const [id, slot] of this.#world.slots) {
      const tensor = this.#tensors.get(id);
      if (!tensor || slot.pinned || slot.forgotten) continue;
      if (tensor.disposed !== slot.disposed)
        throw new Error(
          `after the scope v${id} is ${slot.disposed ? "alive, right is disposed" : "disposed, right is alive"}${ended.has(slot) ? " (made in it)" : ""}`,
        );
    }
  }

  #backward(action: Extract<Action, { kind: "backward" }>): void {
    const { loss, retain, wrt, gradients } = action;
    const options: Record<string, unknown> = {};
    if (retain) options.retainGraph = true;
    if (wrt) options.wrt = gradients.map(([of]) => this.#tensor(of));
    const run = (): Map<T.Tensor, T.Tensor> => T.backward(this.#tensor(loss), options);
    const outcome = this.#world.apply(action);
    if (!outcome || "throws" in outcome) {
      expectThrow(run, Error);
      return;
    }
    const found = run();
    for (const [of, name] of gradients) {
      const expected = outcome.gradients.get(of)!;
      const shadow = this.#world.live(of).shadow;
      const gradient = found.get(this.#tensor(of));
      if (!gradient && expected.sum.some((value) => value !== 0)) throw new Error(`no gradient of v${of}`);
      const tensor = gradient ?? this.#device.zeros(shadow.shape, { dtype: shadow.dtype });
      this.#tensors.set(name, tensor);
      this.#expectShape(tensor, this.#world.live(name).shadow, name);
      const what = `the gradient v${name} of v${of}`;
      if (this.#stage.exact) this.#read(name, what);
      else this.#expect(tensor, what, (numbers) => expectGradient(numbers, expected, what));
    }
  }

  #misuse(how: Misuse, id: Id): void {
    const x = this.#tensor(id);
    const other = this.#stage.devices.find((device) => device !== this.#device)!;
    if (how === "disposedRead") this.#expect(x, `the read of the disposed v${id}`, undefined);
    else expectMisuse(how, x, other);
  }
}

/** Runs a program and compares every number. Rejects with what went wrong first. */
export async function run({ tasks }: Program, stage: Stage): Promise<void> {
  const actors = tasks.map(({ device }) => new Actor(stage, stage.devices[device % stage.devices.length]!));
  const results = await Promise.allSettled(actors.map((actor, i) => actor.run(tasks[i]!.actions)));
  const failed = results.findIndex((result) => result.status === "rejected");
  if (failed < 0) return;
  for (const actor of actors) actor.abandon();
  const { reason } = results[failed] as PromiseRejectedResult;
  throw tasks.length === 1 ? reason : new Error(`task ${failed}, ${reason.message}`, { cause: reason });
}
