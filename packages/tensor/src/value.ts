import type { Backend, Storage, View } from "./backend.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { describe } from "./errors.ts";
import type { Expr } from "./expr/expr.ts";
import { denseLayout, type Layout } from "./layout.ts";
import { numel, type Shape } from "./shape.ts";

/** A value that has been computed, or will have been once the launch list has run. */
export interface Stored {
  readonly kind: "stored";
  readonly storage: Storage;
  readonly layout: Layout;
}

/**
 * A value that is only written down: a pointwise tree over storages. It is computed when something needs storage: a read, an
 * op that is not pointwise, a write to one of its leaves, the end of its scope, too many leaves or nodes, or a second
 * consumer for which recomputing would cost more than storing. A backend that can end a matmul, a convolution or a reduction
 * with a tree will find its producer here as one more leaf.
 */
export interface Pending {
  readonly kind: "pending";
  readonly tree: Expr;
  /** One retained view for each leaf, of the shape of the value. */
  readonly leaves: readonly View[];
  readonly params: readonly number[];
  /** Nodes and weight of the tree, see `measure`. */
  readonly nodes: number;
  readonly weight: number;
  /** How many pointwise results have taken this tree into their own. */
  consumers: number;
  /** Set when the value has been computed, for others that hold the same pending value. */
  compute: (() => void) | undefined;
}

const readers = new WeakMap<Storage, Set<Pending>>();

/** Enters a new pending value as a reader of its leaves, and retains them. */
export function enterPending(value: Pending): void {
  for (const { storage } of value.leaves) {
    storage.retain();
    const set = readers.get(storage);
    if (set) set.add(value);
    else readers.set(storage, new Set([value]));
  }
}

function leavePending(value: Pending): void {
  for (const { storage } of value.leaves) {
    readers.get(storage)?.delete(value);
    storage.release();
  }
}

/** Computes a pending value into storage of its own. */
export function forcePending(backend: Backend, value: Pending, shape: Shape, dtype: DType, label: string): Stored {
  const storage = backend.allocate(numel(shape) * bytesPerElement(dtype), `${label} ${describe({ dtype, shape })}`);
  const layout = denseLayout(shape);
  const { tree, leaves, params } = value;
  backend.pointwise({ out: { storage, layout, dtype }, tree, leaves, params });
  leavePending(value);
  return { kind: "stored", storage, layout };
}

/** Computes every pending value that still has to read `storage`. */
export function beforeWriting(storage: Storage): void {
  for (const value of [...(readers.get(storage) ?? [])]) value.compute?.();
}

/** Gives back what a value holds. */
export function releaseValue(value: Stored | Pending): void {
  if (value.kind === "stored") value.storage.release();
  else leavePending(value);
}
