/**
 * Who owns what: a tensor, a saved operand of a gradient and every alias hold a value; a value holds its storage, or the storages that it
 * still has to read. Whoever takes one in takes a reference at that moment, and lets go of it when done. Nothing is ever changed under a
 * holder: a write gives its tensor another value, and storage is written in place only where nobody else holds it.
 */
import type { Backend, Storage, View } from "./backend.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { describe } from "./errors.ts";
import type { Expr } from "./expr/expr.ts";
import { denseLayout, expandLayout, isDense, type Layout } from "./layout.ts";
import { numel, type Shape, sameShape } from "./shape.ts";

/** A value that has been computed, or will have been once the launch list has run. */
export interface Stored {
  readonly kind: "stored";
  readonly storage: Storage;
  readonly layout: Layout;
}

/**
 * A value that is only written down: a pointwise tree over storages. It is computed when something needs storage: a read, an
 * op that is not pointwise, a write, the end of its scope, too many leaves or nodes, or a second consumer for which recomputing would
 * cost more than storing. A backend that can end a matmul, a convolution or a reduction with a tree will find its producer here as one
 * more leaf.
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
    const layout = expandLayout(view.layout, shape);
    const known = this.views.findIndex(
      (other) => other.storage === view.storage && other.dtype === view.dtype && sameLayout(other.layout, layout),
    );
    if (known >= 0) return known;
    view.storage.retain();
    return this.views.push({ ...view, layout }) - 1;
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
  const storage = backend.allocate(bytes, label);
  try {
    fill(storage);
  } catch (error) {
    storage.release();
    throw error;
  }
  return storage;
}

/** The numbers of one or several tensors, immutable, with a count of who holds them. */
export class Value {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly dtype: DType;
  /** What made it, for messages. */
  readonly label: string;
  /** The host data it was made from, kept for whole numbers: gathers check and plan with it. */
  readonly host: Int32Array | Uint32Array | undefined;
  /** All its numbers are known, or have been checked, to be at least 0 and below this; views of it have it too. */
  below = Number.POSITIVE_INFINITY;
  /** How many pointwise results have taken its tree into their own. */
  consumers = 0;
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

  /** Bytes of device memory that go when it goes; 0 while it is pending. */
  get ownBytes(): number {
    const state = this.#state;
    return state.kind === "stored" ? state.storage.bytes / Math.max(1, state.storage.references) : 0;
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

  /** In storage; a pending value is computed now, for all who hold it. */
  view(): View {
    const state = this.state;
    const { storage, layout } = state.kind === "stored" ? state : this.#store(state);
    return { storage, layout, dtype: this.dtype };
  }

  /** In storage, row-major from the first element on. What is not is copied, and everybody who holds this has the copy. */
  dense(): View {
    const view = this.view();
    return view.layout.offset === 0 && isDense(view.layout) ? view : this.#store(this.#state);
  }

  /**
   * Computes a pending value into the storage of another one that nobody else holds, which its tree may read where it writes: what a write of `x + 1` to x
   * is. The storage stays where it is, so that what is bound to it stays bound. Afterwards both have the new numbers, and the other one is to be let go.
   * False, and nothing has happened, where that cannot be.
   */
  computeInto(target: Value): boolean {
    const [before, { shape, dtype }] = [this.state, this];
    const stored = target.state;
    if (before.kind !== "pending" || stored.kind !== "stored" || target.#references > 1) return false;
    const { storage } = stored;
    const layout = denseLayout(shape);
    if (!sameLayout(stored.layout, layout)) return false;
    const own = before.leaves.filter((leaf) => leaf.storage === storage);
    if (storage.references > 1 + own.length) return false;
    if (!own.every((leaf) => leaf.dtype === dtype && sameLayout(leaf.layout, layout))) return false;
    const { tree, leaves, params } = before;
    this.backend.pointwise({ out: { storage, layout, dtype }, tree, leaves, params });
    storage.retain();
    this.#state = { kind: "stored", storage, layout };
    this.#letGo(before);
    return true;
  }

  /** Replaces the state by dense storage that it is written to. Where there is no room the state stays as it was. */
  #store(before: Stored | Pending): Stored & View {
    const { backend, shape, dtype } = this;
    const layout = denseLayout(shape);
    const storage = backend.allocate(numel(shape) * bytesPerElement(dtype), `${this.label} ${describe(this)}`);
    const after: Stored & View = { kind: "stored", storage, layout, dtype };
    try {
      if (before.kind === "stored") {
        backend.copy({ out: after, input: { storage: before.storage, layout: before.layout, dtype } });
      } else {
        const { tree, leaves, params } = before;
        backend.pointwise({ out: after, tree, leaves, params });
      }
    } catch (error) {
      storage.release();
      throw error;
    }
    this.#state = after;
    this.#letGo(before);
    return after;
  }

  #letGo(state: Stored | Pending): void {
    if (state.kind === "stored") state.storage.release();
    else for (const { storage } of state.leaves) storage.release();
  }
}
