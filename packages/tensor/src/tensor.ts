import type { Backend, BackendInfo, MemoryReport, OpMemory, Storage, View } from "./backend.ts";
import { capturing } from "./capturing.ts";
import { finishReaders } from "./deferred.ts";
import { bytesPerElement, type Data, type DType, decode, type HostArray, type NestedData } from "./dtype.ts";
import { ArgumentError, DisposedError, describe, shown } from "./errors.ts";
import { settleIndices } from "./index-check.ts";
import { denseLayout } from "./layout.ts";
import type { TensorMethods } from "./methods.ts";
import { catchForgotten, reclaim } from "./net.ts";
import type { Rng } from "./random.ts";
import { numel, type Shape } from "./shape.ts";
import { type Stored, Value, written } from "./value.ts";

/** What a tensor is made with besides its data. */
export interface TensorOptions {
  readonly dtype?: DType;
  /** A name for messages and profiles. */
  readonly label?: string;
}

/** What a captured function takes: what changes from call to call. */
export type CaptureInput = Tensor | Rng;

/** What a captured function gives. */
export type CaptureResult = Tensor | readonly Tensor[];

/** A captured function: takes tensors of the shapes and dtypes of its first call, and gives new ones, without graphs. */
export interface Captured<Inputs extends readonly CaptureInput[], Result extends CaptureResult> {
  (...inputs: Inputs): Result;
  /** Gives back the memory that it works in; a call after that records it again. */
  dispose(): void;
}

/** What tensors and ops see of the device that they live on: the class of the same name. */
export interface Device {
  readonly backend: Backend;
  readonly info: BackendInfo;
  tensor(data: Data | NestedData | number, shape?: Shape, options?: TensorOptions): Tensor;
  zeros(shape: Shape, options?: TensorOptions): Tensor;
  ones(shape: Shape, options?: TensorOptions): Tensor;
  full(shape: Shape, value: number, options?: TensorOptions): Tensor;
  arange(count: number, options?: TensorOptions): Tensor;
  capture<Inputs extends readonly CaptureInput[], Result extends CaptureResult>(
    work: (...inputs: Inputs) => Result,
  ): Captured<Inputs, Result>;
  sync(): Promise<void>;
  pace(ahead?: number): Promise<void>;
  warmup(work: () => unknown): Promise<void>;
  memory(): MemoryReport;
  memory(options: { readonly profile: true }): MemoryReport & { readonly profile: readonly OpMemory[] };
  destroy(): void;
}

/** Where a tensor stands in a graph: the output of the node that made it. */
export interface Edge {
  readonly node: GraphNode;
  readonly output: number;
}

/** What a tensor sees of the node that it comes from; autograd.ts has the rest. */
export interface GraphNode {
  readonly name: string;
  /** The tensor that is marked by `requireGrad`, where this stands for one. */
  readonly leaf: Tensor | undefined;
  /** True when its backward pass is over. */
  readonly ended: boolean;
  /** A tensor, or a node after this one, does not need it any more. */
  drop(): void;
  /** Its scope ends. */
  end(by: "scope"): void;
}

/** What a scope has to end. */
export interface Frame {
  readonly tensors: Set<Tensor>;
  /** Graphs of tensors that were kept: those do not outlive it. */
  readonly graphs: GraphNode[];
}

/** The innermost scope. Set by scope.ts. */
export const tracking: { frame: Frame | undefined } = { frame: undefined };

/**
 * Writes are numbered, so that what runs a part of a program again (`checkpoint`) can tell whether it reads what the first run read.
 * `limit` is set by checkpoint.ts while it does so: a tensor written after it is refused.
 */
export const writes: { count: number; limit: number } = { count: 0, limit: Number.POSITIVE_INFINITY };

/** Where the next dense value in f32 of as many bytes goes, once. Set by backward while it computes what belongs there. */
export const destination: { storage: Storage | undefined } = { storage: undefined };

/** The op that the user called, while it calls others: what messages name. Set by `within`. */
export const naming: { op: string | undefined } = { op: undefined };

/** A tensor's value, apart from the tensor: who gives it back does not keep the tensor itself alive. */
export interface Holder {
  /** Undefined once it is given back. */
  value: Value | undefined;
  /** By `keep`. */
  kept: boolean;
  /** Given back by `backward`, after its last use. */
  spent: boolean;
}

/**
 * An immutable array of numbers on a device: storage seen through a layout, or a pending pointwise tree that has not been
 * computed yet. Operations are functions of `ops/`; the usual ones can be chained as methods.
 */
export class Tensor {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  /** What made it, for messages. */
  readonly label: string;
  /** The op that made this tensor as a view of another, which cannot be written to; undefined for what stands on its own. */
  readonly viewOf: string | undefined;
  /** The scope it was made in, until it leaves that. */
  frame: Frame | undefined;
  /** Where its gradient goes; undefined where none is wanted. */
  edge: Edge | undefined;
  /** What a node of the graph needs of the forward pass; it goes with the node. */
  saved = false;
  readonly holder: Holder;
  /** The last write: its number, and what wrote. */
  #written: { readonly at: number; readonly by: string } | undefined;

  /** Takes over the caller's reference to `value`. */
  constructor(device: Device, value: Value, label: string, viewOf?: string) {
    this.device = device;
    this.shape = value.shape;
    this.dtype = value.dtype;
    this.label = naming.op ?? label;
    this.viewOf = viewOf && (naming.op ?? viewOf);
    this.holder = { value, kept: false, spent: false };
    capturing.watcher?.made(this);
    const { frame } = tracking;
    this.frame = frame;
    if (frame) frame.tensors.add(this);
    else this.watch();
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return numel(this.shape);
  }

  /** True for parameters and for everything computed from them. */
  get requiresGrad(): boolean {
    return this.edge !== undefined;
  }

  /** True for the result of a recorded op whose backward pass has not been, false for leaves. */
  get hasGraph(): boolean {
    return this.edge !== undefined && this.edge.node.leaf !== this && !this.edge.node.ended;
  }

  get disposed(): boolean {
    return this.holder.value === undefined;
  }

  /** The host data of a whole-number tensor that was made from such. */
  get host(): Int32Array | Uint32Array | undefined {
    return this.holder.value?.host;
  }

  /** The value, pending or stored; whoever keeps it retains it. @throws DisposedError */
  value(op: string): Value {
    const { value, spent } = this.holder;
    if (!value) {
      const end = spent ? "given back by backward after its last use" : "disposed";
      const advice = spent ? ": keep(x) it before that, or pass { retainGraph: true }" : "";
      throw new DisposedError(`${op}: x ${describe(this)} was ${end} (made by \`${this.label}\`)${advice}`);
    }
    if (this.#written && this.#written.at > writes.limit) {
      throw new Error(
        `checkpoint: ${describe(this)} (made by \`${this.label}\`) was written by \`${this.#written.by}\` after the forward pass, ` +
          "which cannot be run again with the old values: write after backward",
      );
    }
    capturing.watcher?.read(this, value);
    return value;
  }

  /** The value in storage; a pending one is computed now. */
  view(op = "view"): View {
    return this.value(op).view();
  }

  /** The value in storage that may be deferred: where it will lie. For ops that only look at it. */
  lazy(op: string): View {
    return this.value(op).lazy();
  }

  /** The value in storage, row-major from the first element on. A view that is not is copied, and keeps the copy. */
  dense(op = "dense"): View {
    return this.value(op).dense();
  }

  /**
   * Gives this tensor another value: what a write is. Others who hold the old one keep it. Takes over the caller's reference.
   * @param by the op that writes, for messages
   */
  rebind(by: string, value: Value): void {
    const before = this.value(by);
    this.holder.value = value;
    // The new numbers have nothing to do with what was computed before.
    if (this.edge && this.edge.node.leaf !== this) this.leaveGraph();
    // What a second run writes is not what the first one must not have seen.
    if (writes.limit === Number.POSITIVE_INFINITY) this.#written = { at: ++writes.count, by };
    before.release();
  }

  /**
   * Storage for the value that a write is about to give this tensor, where the old one is not needed besides: its own, if nobody else holds
   * that, or new storage, which has no content yet. `commit` makes it the tensor's.
   * @param into storage to take instead, which the caller hands over
   */
  overwrite(
    by: string,
    into?: Storage,
  ): { readonly before: View; readonly after: View; commit(): void; abandon(): void } {
    const value = this.value(by);
    this.checkWritable(by);
    const before = value.dense();
    const { device, shape, dtype, label } = this;
    let next: Value;
    if (into) next = new Value(device.backend, storedIn(into, shape), shape, dtype, label);
    else if (value.exclusive) next = ownedAgain(value);
    else next = valueOf(device, shape, dtype, label, () => {});
    return { before, after: next.view(), commit: () => this.rebind(by, next), abandon: () => next.release() };
  }

  /** Gives this tensor another value over the same storage, which it fills and nobody else holds: that has been written. */
  wasWritten(by: string): void {
    this.rebind(by, ownedAgain(this.value(by)));
  }

  /**
   * @throws Error for a view of another tensor, which a write would or would not reach, and for a result whose gradient is still to come,
   * which would be that of other numbers: the answer is always no
   */
  checkWritable(by: string): void {
    if (this.viewOf !== undefined) {
      throw new Error(
        `${by}: the target ${describe(this)} is a view (made by \`${this.viewOf}\`): write to the tensor it was made of, or to clone(x)`,
      );
    }
    if (this.hasGraph) {
      throw new Error(
        `${by}: the target ${describe(this)} is the result of \`${this.label}\`, whose gradient is still to come: write to clone(detach(x))`,
      );
    }
  }

  /** Its dense storage, which nobody else holds, to write a part of it. */
  writable(by: string): View {
    const { before, after, commit } = this.overwrite(by);
    if (before.storage !== after.storage) this.device.backend.copy({ out: after, input: before });
    commit();
    return after;
  }

  /**
   * Copies the elements to the host, row-major: those of this moment, whatever is written before they arrive. Waits for the device.
   * @throws DeviceError of the launch that should have computed them, or of one that it depends on, and when the device has failed;
   * ShapeError when an index made on the device, of any op before, was out of range
   */
  async data(): Promise<HostArray> {
    let values: HostArray | undefined;
    await this.#read("data", (read) => {
      values = read;
    });
    return values!;
  }

  /**
   * The same for what is to go on at once with them, and beside what the caller computes: `take` gets the elements as soon as they are there. That is
   * before this returns where the calling thread computes itself (the CPU backend), else in a later turn.
   * @returns once `take` has had them. Rejects as `data` does, and with what `take` throws
   */
  async dataTo(take: (values: HostArray) => void): Promise<void> {
    if (typeof take !== "function") throw new ArgumentError(`dataTo: take has to be a function, got ${shown(take)}`);
    await this.#read("dataTo", take);
  }

  async #read(by: string, take: (values: HostArray) => void): Promise<void> {
    const { size, dtype, device } = this;
    const { backend } = device;
    const { storage } = this.dense(by);
    if (size === 0) return take(decode(new ArrayBuffer(0), dtype, 0));
    storage.retain();
    try {
      const bytes = size * bytesPerElement(dtype);
      const pass = (read: ArrayBuffer): void => take(decode(read, dtype, size));
      const passed = backend.downloadNow
        ? pass(backend.downloadNow(storage, 0, bytes))
        : backend.download(storage, 0, bytes).then(pass);
      await Promise.all([passed, settleIndices(backend)]);
      await reclaim(backend);
    } finally {
      storage.release();
    }
  }

  /** The number in a tensor of one element. @throws Error when there are more. */
  async item(): Promise<number> {
    if (this.size !== 1) throw new Error(`item: ${describe(this)} holds ${this.size} elements, not one`);
    return (await this.data())[0]!;
  }

  /** Gives the memory back. Using the tensor afterwards throws DisposedError; disposing twice does nothing. */
  dispose(): void {
    const state = this.holder.value?.state;
    this.letGo();
    if (state?.kind === "stored" && state.storage.references > 0) finishReaders(state.storage);
  }

  /** The same, but memory that is still to be read stays until then: for what ends by itself, such as a scope. */
  letGo(): void {
    const { value } = this.holder;
    if (!value) return;
    this.holder.value = undefined;
    this.frame?.tensors.delete(this);
    this.frame = undefined;
    this.leaveGraph();
    value.release();
  }

  /** Forgets how it was computed. */
  leaveGraph(): void {
    const { edge } = this;
    this.edge = undefined;
    edge?.node.drop();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Lets the collector give the memory back when nobody holds the tensor any more. */
  watch(): void {
    this.frame = undefined;
    catchForgotten(this, this.holder);
  }

  /** Takes it out of its scope, for an owner who disposes it. */
  keep(): void {
    this.holder.kept = true;
    const { frame } = this;
    if (!frame) return;
    this.view("keep");
    frame.tensors.delete(this);
    if (this.hasGraph) frame.graphs.push(this.edge!.node);
    this.watch();
  }

  toString(): string {
    return `Tensor ${describe(this)} (${this.label})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

export interface Tensor extends TensorMethods<Tensor> {}

/** The state of a value that fills a storage. */
export function storedIn(storage: Storage, shape: Shape): Stored {
  return { kind: "stored", storage, layout: denseLayout(shape) };
}

/** A new value over the storage of one that is about to go: what belonged to the old numbers, such as their host copy, stays behind. */
function ownedAgain({ backend, state, shape, dtype, label }: Value): Value {
  const stored = state as Stored;
  stored.storage.retain();
  return new Value(backend, stored, shape, dtype, label);
}

/** A dense value that `fill` writes; nothing is left behind where it fails. */
export function valueOf(
  device: Device,
  shape: Shape,
  dtype: DType,
  label: string,
  fill: (out: View) => void,
  host?: Int32Array | Uint32Array,
): Value {
  const { backend } = device;
  const layout = denseLayout(shape);
  const bytes = numel(shape) * bytesPerElement(dtype);
  const given = dtype === "f32" && destination.storage?.bytes === bytes ? destination.storage : undefined;
  if (given) destination.storage = undefined;
  given?.retain();
  const storage = written(given ?? backend.allocate(bytes, `${label} ${describe({ dtype, shape })}`), (storage) =>
    fill({ storage, layout, dtype }),
  );
  return new Value(backend, { kind: "stored", storage, layout }, shape, dtype, label, host);
}
