import { checkTensors } from "./arguments.ts";
import type { Storage, View } from "./backend.ts";
import { real } from "./deferred.ts";
import { denseLayout } from "./layout.ts";
import { cutIntoLots, follows, joined, lotOf, runsOf } from "./lots.ts";
import { made } from "./making.ts";
import { numel } from "./shape.ts";
import { storedIn, type Tensor } from "./tensor.ts";
import type { Pending, Value } from "./value.ts";

interface Item {
  readonly value: Value;
  readonly state: Pending;
  /** What it is about to take the place of. */
  readonly target: Value | undefined;
}

/**
 * Computes what is pending now. Results of one formula, with the same numbers, lie side by side from then on, and are computed in one launch
 * as far as their operands do, or are one number for all. What is neither f32 nor i32, or no pending formula, is left as it is.
 */
export function computeTogether(tensors: readonly Tensor[]): void {
  checkTensors("computeTogether", "tensors", tensors);
  compute(new Map(tensors.map((tensor) => [tensor.value("computeTogether"), undefined])));
}

/**
 * The same for what is about to be assigned: where each of a formula fits into what its target has now, which nobody else holds, they are computed there,
 * and the targets are to be given them at once. @param writes targets and what they get
 */
export function computeOver(writes: readonly (readonly [target: Tensor, value: Tensor])[]): void {
  compute(new Map(writes.map(([target, value]) => [value.value("assign"), target.value("assign")])));
}

function compute(values: ReadonlyMap<Value, Value | undefined>): void {
  const groups: Item[][] = [];
  for (const [value, target] of values) {
    const { state, dtype, backend } = value;
    if (state.kind !== "pending" || (dtype !== "f32" && dtype !== "i32") || numel(value.shape) === 0) continue;
    const group = groups.find(([first]) => first!.value.backend === backend && sameFormula(first!.state, state));
    if (group) group.push({ value, state, target });
    else groups.push([{ value, state, target }]);
  }
  for (const group of groups.filter(({ length }) => length > 1)) {
    const items = inOrder(
      group,
      ({ state, target }) => placeOf(target) ?? state.leaves.find(({ storage }) => storage.lot)?.storage,
    );
    const { backend } = items[0]!.value;
    const sizes = items.map(({ value }) => 4 * numel(value.shape));
    const cuts = cutIntoLots(backend, sizes);
    for (const [cut, end] of cuts.slice(1).entries()) {
      computeLot(items.slice(cuts[cut]!, end), sizes.slice(cuts[cut]!, end));
    }
  }
}

function sameFormula(a: Pending, b: Pending): boolean {
  if (a.tree !== b.tree || a.leaves.length !== b.leaves.length || a.params.length !== b.params.length) return false;
  return a.params.every((number, i) => Object.is(number, b.params[i]));
}

/** The piece of a lot that a value fills. */
function placeOf(value: Value | undefined): Storage | undefined {
  const state = value?.state;
  return state?.kind === "stored" && state.storage.lot ? state.storage : undefined;
}

/** Where things are written that lie side by side from then on, held: over what they replace where that lies in a lot, or in a lot of their own. */
function placesOf(items: readonly Item[], sizes: readonly number[]): readonly Storage[] {
  const { backend, label } = items[0]!.value;
  if (!items.every(({ value, target }) => target && placeOf(target) && value.fitsInto(target)))
    return lotOf(backend, sizes, label).pieces;
  return items.map(({ target }) => {
    const { storage } = target!.view();
    storage.retain();
    return storage;
  });
}

function computeLot(items: readonly Item[], sizes: readonly number[]): void {
  const { backend } = items[0]!.value;
  const places = placesOf(items, sizes);
  const left = new Set(places);
  try {
    const { tree, params, leaves } = items[0]!.state;
    const reads = items.map(({ state }) => state.leaves.map(real));
    const outs = items.map(({ value }, i): View => ({ ...storedIn(places[i]!, value.shape), dtype: value.dtype }));
    // One number for all of a run, or what lies side by side; the first two of a run decide.
    const repeats = (a: View, b: View): boolean => a.storage === b.storage && isNumber(a) && isNumber(b);
    const joins = (i: number, leaf: number): "repeats" | "follows" | undefined => {
      const [here, before] = [reads[i]![leaf]!, reads[i - 1]![leaf]!];
      if (repeats(here, before)) return "repeats";
      return follows(here, before) ? "follows" : undefined;
    };
    let ways: (string | undefined)[] | undefined;
    const runs = runsOf(items.length, (i) => {
      const own = leaves.map((_, leaf) => joins(i, leaf));
      const goesOn =
        follows(outs[i]!, outs[i - 1]!) && own.every((way, leaf) => way !== undefined && (!ways || ways[leaf] === way));
      ways = goesOn ? own : undefined;
      return goesOn;
    });
    for (const [start, end] of runs) {
      const out = joined(outs.slice(start, end));
      const operands = leaves.map((_, leaf): View => {
        const own = reads.slice(start, end).map((views) => views[leaf]!);
        if (own.length === 1) return own[0]!;
        // One buffer is bound once: what is written over is what is read.
        if (own[0]!.storage === places[start]) return out;
        const [first, second] = own as [View, View];
        if (!repeats(first, second)) return joined(own);
        return { ...first, layout: { shape: out.layout.shape, strides: [0], offset: first.layout.offset } };
      });
      backend.pointwise({ out, tree, leaves: operands, params });
    }
    for (const [i, { value }] of items.entries()) {
      left.delete(places[i]!);
      value.settle(places[i]!);
    }
  } finally {
    for (const place of left) place.release();
  }
}

/** True for a view that is one number everywhere. */
function isNumber({ layout }: View): boolean {
  return layout.strides.every((stride) => stride === 0);
}

/** As they lie: by lot and piece, then what lies alone. */
function inOrder<T>(items: readonly T[], where: (item: T) => Storage | undefined): T[] {
  const lots = new Map<object, T[]>();
  const alone: T[] = [];
  for (const item of items) {
    const lot = where(item)?.lot;
    if (!lot) alone.push(item);
    else if (lots.has(lot)) lots.get(lot)!.push(item);
    else lots.set(lot, [item]);
  }
  const sorted = [...lots.values()].map((own) => own.sort((a, b) => where(a)!.piece - where(b)!.piece));
  return [...sorted.flat(), ...alone];
}

/**
 * The values of tensors in fewer tensors, whose order does not matter: those that lie side by side are one, of one axis, in which zeros may lie
 * between them. They hold the memory of all of those. Without a graph.
 */
export function sideBySide(tensors: readonly Tensor[]): Tensor[] {
  checkTensors("sideBySide", "tensors", tensors);
  const flattens = ({ dtype, size }: Tensor): boolean => dtype === "f32" && size > 0;
  const stored = tensors.filter(flattens);
  const viewOf = (tensor: Tensor): View => tensor.dense("sideBySide");
  const items = inOrder(stored, (tensor) => viewOf(tensor).storage);
  const runs = runsOf(items.length, (i) => follows(viewOf(items[i]!), viewOf(items[i - 1]!)));
  const flat = runs.map(([start, end]) => {
    if (end - start === 1) return items[start]!;
    const { storage } = joined(items.slice(start, end).map(viewOf), true);
    const shape = [storage.bytes / 4];
    return made(
      items[start]!.device,
      { kind: "stored", storage, layout: denseLayout(shape) },
      shape,
      "f32",
      "sideBySide",
    );
  });
  return [...flat, ...tensors.filter((tensor) => !flattens(tensor))];
}
