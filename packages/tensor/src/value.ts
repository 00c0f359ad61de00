/**
 * Who owns what: a tensor, a saved operand of a gradient and every alias hold a value; a value holds its storage, or the storages that it
 * still has to read. Whoever takes one in takes a reference at that moment, and lets go of it when done. Nothing is ever changed under a
 * holder: a write gives its tensor another value, and storage is written in place only where nobody else holds it.
 */
import type { Backend, Lot, PointwiseCall, Storage, View } from "./backend.ts";
import { Deferred, MAX_EPILOGUE_LEAVES, type Reader, real } from "./deferred.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { describe } from "./errors.ts";
import { OPERAND } from "./expr/compose.ts";
import type { Expr } from "./expr/expr.ts";
import { denseLayout, expandLayout, isDense, type Layout, permuteLayout, rowMajorOrder } from "./layout.ts";
import { numel, type Shape, sameShape } from "./shape.ts";

/** A value that has been computed, or will have been once the launch list has run; where its storage is deferred, once something reads it. */
export interface Stored {
  readonly kind: "stored";
  readonly storage: Storage;
  readonly layout: Layout;
}

/**
 * A value that is only written down: a pointwise tree over storages. It is computed when something needs storage: a read, an
 * op that is not pointwise, a write, the end of its scope, too many leaves or nodes, or a second consumer for which recomputing would
 * cost more than storing. A leaf whose storage is deferred may be computed together with the tree.
 */
export interface Pending {
  readonly kind: "pending";
  readonly tree: Expr;
  readonly leaves: readonly View[];
  readonly params: readonly number[];
  /** Nodes and weight of the tree, see `measure`. */
  readonly nodes: number;
  readonly weight: number;
}

/** The leaves of a tree while it is put together, each held from the moment it is taken in. */
export class Leaves {
  readonly views: View[] = [];

  /** Takes a view in, broadcast to `shape`, or finds it there. Returns its number. */
  add(view: View, shape: Shape): number {
    return this.#add(view, expandLayout(view.layout, shape));
  }

  /** Takes in the leaves of a tree with its axes cut, joined or moved; undefined where one of them has no layout of that. */
  static moved(views: readonly View[], move: (layout: Layout) => Layout | undefined): Leaves | undefined {
    const layouts = views.map(({ layout }) => move(layout));
    if (layouts.includes(undefined)) return undefined;
    const leaves = new Leaves();
    views.forEach((view, i) => {
      view.storage.retain();
      leaves.views.push({ ...view, layout: layouts[i]! });
    });
    return leaves;
  }

  #add({ storage: held, dtype }: View, layout: Layout): number {
    const storage = (held instanceof Deferred && held.real) || held;
    const known = this.views.findIndex(
      (other) => other.storage === storage && other.dtype === dtype && sameLayout(other.layout, layout),
    );
    if (known >= 0) return known;
    storage.retain();
    return this.views.push({ storage, layout, dtype }) - 1;
  }

  release(): void {
    for (const { storage } of this.views.splice(0)) storage.release();
  }
}

function sameLayout(a: Layout, b: Layout): boolean {
  return a.offset === b.offset && sameShape(a.shape, b.shape) && sameShape(a.strides, b.strides);
}

/** Storage of `bytes` bytes that `fill` has written; given back where that fails. */
export function allocated(backend: Backend, bytes: number, label: string, fill: (storage: Storage) => void): Storage {
  return written(backend.allocate(bytes, label), fill);
}

/** The same of storage that is there. */
export function written(storage: Storage, fill: (storage: Storage) => void): Storage {
  try {
    fill(storage);
  } catch (error) {
    storage.release();
    throw error;
  }
  return storage;
}

/** The numbers of one or several tensors, immutable, with a count of who holds them. */
export class Value implements Reader {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly dtype: DType;
  /** What made it, for messages. */
  readonly label: string;
  /** The host data it was made from, kept for whole numbers: gathers check and plan with it. */
  readonly host: Int32Array | Uint32Array | undefined;
  /** All its numbers are known, or have been checked, to be at least 0 and below this; views of it have it too. */
  below = Number.POSITIVE_INFINITY;
  /** How many pointwise results have taken its tree into their own, and how many views there are of it. */
  consumers = 0;
  /** A gradient is going to read it. */
  saved = false;
  #state: Stored | Pending;
  #references = 1;
  #cleanups: (() => void)[] | undefined;

  /** Takes over the references that `state` holds. */
  constructor(
    backend: Backend,
    state: Stored | Pending,
    shape: Shape,
    dtype: DType,
    label: string,
    host?: Int32Array | Uint32Array,
  ) {
    this.backend = backend;
    this.#state = state;
    this.shape = shape;
    this.dtype = dtype;
    this.label = label;
    this.host = host;
    this.#hold(state);
  }

  #hold(state: Stored | Pending): void {
    // Without a list of the one storage that there mostly is: values come and go by thousands.
    if (state.kind === "stored") this.#join(state.storage);
    else for (const { storage } of state.leaves) this.#join(storage);
  }

  #join(storage: Storage): void {
    if (storage instanceof Deferred) storage.holders.add(this);
  }

  /** False where it has been taken into other results, and none but the tensor that it was made for has it still. */
  get wanted(): boolean {
    return this.saved || this.#references > 1 || this.consumers === 0;
  }

  /** As it is, computed or pending. */
  get state(): Stored | Pending {
    if (this.#references === 0) throw new Error(`internal: the value of ${this.label} is used after it was given back`);
    return this.#state;
  }

  /** True where nobody else holds it, nor its storage, so that this can be written in place. */
  get exclusive(): boolean {
    return this.#references === 1 && this.#state.kind === "stored" && this.#state.storage.references === 1;
  }

  /** True where nobody else holds it; its storage may have other holders. */
  get unshared(): boolean {
    return this.#references === 1;
  }

  /** Bytes of device memory that go when it goes; 0 while it is pending or deferred. */
  get ownBytes(): number {
    const state = this.#state;
    if (state.kind === "pending" || (state.storage instanceof Deferred && !state.storage.real)) return 0;
    return state.storage.bytes / Math.max(1, state.storage.references);
  }

  retain(): this {
    if (this.#references === 0)
      throw new Error(`internal: the value of ${this.label} is taken after it was given back`);
    this.#references++;
    return this;
  }

  release(): void {
    if (this.#references === 0) throw new Error(`internal: the value of ${this.label} is given back twice`);
    if (--this.#references > 0) return;
    this.#letGo(this.#state);
    for (const work of this.#cleanups ?? []) work();
    this.#cleanups = undefined;
  }

  /** Runs `work` once nobody holds this any more: for what is kept beside it, such as the plan of a gather. */
  whenReleased(work: () => void): void {
    this.#cleanups ??= [];
    this.#cleanups.push(work);
  }

  /** As it is in storage, which may be deferred; a pending value is computed now, for all who hold it. */
  lazy(): View {
    const state = this.state;
    const { storage, layout } = state.kind === "stored" ? state : this.#store(this.#natural(state));
    return { storage, layout, dtype: this.dtype };
  }

  /** The layout in which a pending value is written best: in the order in which the launch that it ends goes through its results. */
  #natural({ leaves }: Pending): Layout {
    const { backend, shape } = this;
    const order = backend.epilogues && endOf(leaves, shape, this)?.order;
    if (!order) return denseLayout(shape);
    const dense = denseLayout(order.map((axis) => shape[axis]!));
    return permuteLayout(
      dense,
      shape.map((_, axis) => order.indexOf(axis)),
    );
  }

  /** In storage; what is pending or deferred is computed now, for all who hold it. */
  view(): View {
    const view = this.lazy();
    if (!(view.storage instanceof Deferred)) return view;
    const { storage, layout } = real(view);
    storage.retain();
    this.#become({ kind: "stored", storage, layout });
    return { storage, layout, dtype: this.dtype };
  }

  /** Computes what is deferred, or reads such; other pending trees stay. */
  compute(): void {
    if (storagesOf(this.state).some((storage) => storage instanceof Deferred && !storage.real)) this.view();
  }

  /** In storage, row-major from the first element on. What is not is copied, and everybody who holds this has the copy. */
  dense(): View {
    if (this.state.kind === "pending") return this.#store(denseLayout(this.shape));
    const { layout } = this.lazy();
    return layout.offset === 0 && isDense(layout) ? this.view() : this.#store(denseLayout(this.shape));
  }

  /** Writes it into a part of something larger. @param out any layout of its shape */
  into(out: View): void {
    // Who reads it besides is better served by storage of its own.
    if (!this.backend.epilogues || this.saved || this.#references > 1) this.view();
    this.#write(out);
  }

  /**
   * Computes it, or copies it, to a piece of a lot, which the caller hands over. False where it reads that lot: no launch reads and writes one
   * buffer. Then it stays as it is, and the piece is the caller's.
   */
  storeIn(piece: Storage): boolean {
    const { lot } = piece;
    if (storagesOf(this.state).some((storage) => storage.lot === lot || readsLot(storage, lot))) return false;
    this.#store(denseLayout(this.shape), piece);
    return true;
  }

  /** Takes over the storage that somebody has computed it in. */
  settle(storage: Storage): void {
    this.#become({ kind: "stored", storage, layout: denseLayout(this.shape) });
  }

  /**
   * Whether it is pending and may be computed into the storage of another one that nobody else holds, which its tree may read where it writes: what a write of
   * `x + 1` to x is. The storage stays where it is, so that what is bound to it stays bound.
   */
  fitsInto(target: Value): boolean {
    const [before, stored] = [this.state, target.state];
    if (before.kind !== "pending" || stored.kind !== "stored" || target.#references > 1) return false;
    const { storage } = stored;
    const layout = denseLayout(this.shape);
    // What is deferred has no memory yet.
    if (storage instanceof Deferred || !sameLayout(stored.layout, layout)) return false;
    const own = before.leaves.filter((leaf) => leaf.storage === storage);
    // In a lot others lie in the same buffer.
    const { lot } = storage;
    const others = before.leaves.filter((leaf) => leaf.storage !== storage);
    if (lot && others.some((leaf) => leaf.storage.lot === lot || readsLot(leaf.storage, lot))) return false;
    if (storage.references > 1 + own.length) return false;
    return own.every((leaf) => leaf.dtype === this.dtype && sameLayout(leaf.layout, layout));
  }

  /**
   * Computes it into the storage of another one that it fits into. Afterwards both have the new numbers, and the other one is to be let go.
   * False, and nothing has happened, where it does not.
   */
  computeInto(target: Value): boolean {
    if (!this.fitsInto(target)) return false;
    const { storage } = target.view();
    const layout = denseLayout(this.shape);
    const { tree, leaves, params } = this.state as Pending;
    this.backend.pointwise({ out: { storage, layout, dtype: this.dtype }, tree, leaves: leaves.map(real), params });
    storage.retain();
    this.#become({ kind: "stored", storage, layout });
    return true;
  }

  /** Replaces the state by storage of its own that it is written to. Where there is no room the state stays as it was. */
  #store(layout: Layout, given?: Storage): View {
    const { backend, shape, dtype } = this;
    const storage = given ?? backend.allocate(numel(shape) * bytesPerElement(dtype), `${this.label} ${describe(this)}`);
    written(storage, (storage) => this.#write({ storage, layout, dtype }));
    this.#become({ kind: "stored", storage, layout });
    return { storage, layout, dtype };
  }

  #become(after: Stored): void {
    const before = this.#state;
    this.#state = after;
    this.#letGo(before);
  }

  /** Records what writes it to a layout of its shape. */
  #write(out: View): void {
    const state = this.state;
    const { backend, dtype } = this;
    if (state.kind === "pending") record(backend, { ...state, out }, this);
    else copyInto(backend, { storage: state.storage, layout: state.layout, dtype }, out, this);
  }

  #letGo(state: Stored | Pending): void {
    if (state.kind === "stored") this.#leave(state.storage);
    else for (const { storage } of state.leaves) this.#leave(storage);
  }

  #leave(storage: Storage): void {
    if (storage instanceof Deferred) storage.holders.delete(this);
    storage.release();
  }
}

/**
 * Records what computes a tree over views, of which some may be deferred. One of those is computed together with the tree where nobody but
 * `asker` needs it; the others are recorded before.
 */
export function record(backend: Backend, { out, tree, leaves, params }: PointwiseCall, asker?: Reader): void {
  const end = backend.epilogues && endOf(leaves, out.layout.shape, asker);
  const operands = leaves.map((view, i) => (i === end?.product ? view : real(view)));
  if (end) {
    // In the order in which its kernel goes through its results.
    const inOrder = (view: View): View => ({ ...view, layout: permuteLayout(view.layout, end.order) });
    const { product } = end;
    end.work.take({ out: inOrder(out), tree, leaves: operands.map(inOrder), params, product });
  } else if (tree.op === "leaf" && tree.dtype === out.dtype) backend.copy({ out, input: operands[tree.index]! });
  else backend.pointwise({ out, tree, leaves: operands, params });
}

/** The same for a view as it is. */
export function copyInto(backend: Backend, view: View, out: View, asker?: Reader): void {
  record(backend, { out, tree: OPERAND[view.dtype], leaves: [view], params: [] }, asker);
}

/** True where the tree of a pending value ends a launch. */
export function endsLaunch(value: Value, { leaves }: Pending): boolean {
  return value.backend.epilogues === true && endOf(leaves, value.shape, value) !== undefined;
}

/** The leaf whose launch may end in a tree, the latest one, and the order of the tree's axes in which that goes through its results. */
function endOf(
  leaves: readonly View[],
  shape: Shape,
  asker: Reader | undefined,
): { readonly product: number; readonly order: readonly number[]; readonly work: Deferred } | undefined {
  if (leaves.length > MAX_EPILOGUE_LEAVES) return undefined;
  let best: ReturnType<typeof endOf>;
  leaves.forEach(({ storage, layout, dtype }, product) => {
    if (!(storage instanceof Deferred) || storage.id < (best?.work.id ?? 0)) return;
    if (leaves.length > storage.leaves || storage.bytes !== numel(shape) * bytesPerElement(dtype)) return;
    if (!storage.endsIn(asker) || leaves.some((other, i) => i !== product && other.storage === storage)) return;
    const order = rowMajorOrder(layout);
    if (order) best = { product, order, work: storage };
  });
  return best;
}

/** Whether what is deferred is going to read a piece of a lot. */
function readsLot(storage: Storage, lot: Lot | undefined): boolean {
  return (
    storage instanceof Deferred && storage.reads.some(({ storage: read }) => read.lot === lot || readsLot(read, lot))
  );
}

/** A pending tree heavier than this is stored rather than computed a second time. */
const RECOMPUTE_WEIGHT = 12;

/** True where one more result may take in the pending tree of a value. */
export function worthAgain(value: Value, { weight }: Pending): boolean {
  return value.consumers === 0 || weight <= RECOMPUTE_WEIGHT;
}

function storagesOf(state: Stored | Pending): readonly Storage[] {
  return state.kind === "stored" ? [state.storage] : state.leaves.map(({ storage }) => storage);
}
