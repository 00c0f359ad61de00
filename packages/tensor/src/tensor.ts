import type { View } from "./backend.ts";
import type { Device } from "./device.ts";
import { bytesPerElement, type DType, decode, type HostArray } from "./dtype.ts";
import { DeviceError, DisposedError, describe } from "./errors.ts";
import { denseLayout, isDense, type Layout } from "./layout.ts";
import type { TensorMethods } from "./methods.ts";
import { numel, type Shape } from "./shape.ts";
import { beforeWriting, forcePending, type Pending, releaseValue, type Stored } from "./value.ts";

/** How a result came about, for `backward`. */
export interface GradNode {
  /** Grows with every recorded op, so that descending order is an order for the backward pass. */
  readonly id: number;
  readonly name: string;
  /** Tensors that the gradient flows on to. */
  readonly inputs: readonly Tensor[];
  /** Calls `add` with each input's share of `dy`. */
  readonly backward: (dy: Tensor, add: (input: Tensor, gradient: Tensor) => void) => void;
}

/** Where new tensors are entered, so that the innermost scope can free them. Set by scope.ts. */
export const tracking: { frame: Set<Tensor> | undefined } = { frame: undefined };

/** A tensor's value; undefined once it is disposed. */
interface Holder {
  value: Stored | Pending | undefined;
}

// The net under everything outside scopes: what the collector finds gives its memory back.
const forgotten = new FinalizationRegistry<Holder>((holder) => {
  if (holder.value) releaseValue(holder.value);
});

/**
 * Tensors outside of scopes, which the net takes when the current job ends: to register one costs the collector more than a small op does,
 * most are disposed by then, and the net gives nothing back before that.
 */
const waiting: (readonly [Tensor, Holder])[] = [];
const MOST_WAITING = 1024;

function registerWaiting(): void {
  for (const [tensor, holder] of waiting.splice(0)) if (holder.value) forgotten.register(tensor, holder);
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
  /** The host data this was made from, kept for whole-number tensors: gathers plan their gradients with it. */
  readonly host: Int32Array | Uint32Array | undefined;
  /** How it was computed, when a gradient may be asked for; undefined for leaves. */
  gradNode: GradNode | undefined;
  #leaf = false;
  #cleanups: (() => void)[] | undefined;
  readonly #holder: Holder;

  constructor(
    device: Device,
    value: Stored | Pending,
    shape: Shape,
    dtype: DType,
    label: string,
    host?: Int32Array | Uint32Array,
  ) {
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.label = label;
    this.host = host;
    const holder: Holder = { value };
    this.#holder = holder;
    if (value.kind === "pending") {
      // Through the holder, not the tensor: a storage must not keep the tensors alive that wait to read it.
      value.compute = () => {
        holder.value = forcePending(device.backend, value, shape, dtype, label);
      };
    }
    if (tracking.frame) tracking.frame.add(this);
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
    return this.#leaf || this.gradNode !== undefined;
  }

  /** Marks a leaf as one whose gradient is wanted, or takes the mark away. */
  setRequiresGrad(wanted: boolean): this {
    this.#leaf = wanted;
    return this;
  }

  get disposed(): boolean {
    return this.#holder.value === undefined;
  }

  /** The value as it is, pending or stored. @throws DisposedError */
  value(op: string): Stored | Pending {
    const { value } = this.#holder;
    if (!value) throw new DisposedError(`${op}: x ${describe(this)} was disposed (made by \`${this.label}\`)`);
    return value;
  }

  /** The value in storage; a pending one is computed now. */
  view(op = "view"): View {
    const value = this.value(op);
    const stored =
      value.kind === "stored" ? value : forcePending(this.device.backend, value, this.shape, this.dtype, this.label);
    this.#holder.value = stored;
    return { storage: stored.storage, layout: stored.layout, dtype: this.dtype };
  }

  /** The value in storage, row-major from the first element on. A view that is not is copied, and keeps the copy. */
  dense(op = "dense"): View {
    const view = this.view(op);
    if (view.layout.offset === 0 && isDense(view.layout)) return view;
    const storage = this.device.backend.allocate(this.size * bytesPerElement(this.dtype), describe(this));
    const dense: View = { storage, layout: denseLayout(this.shape), dtype: this.dtype };
    this.device.backend.copy({ out: dense, input: view });
    this.#holder.value = { kind: "stored", storage, layout: dense.layout };
    view.storage.release();
    return dense;
  }

  /** The dense storage of a tensor that is about to be written in place; what still waits to read the old values reads them now. */
  writable(op: string): View {
    const view = this.dense(op);
    beforeWriting(view.storage);
    return view;
  }

  /** Copies the elements to the host, row-major. The only way to read; waits for the device. */
  async data(): Promise<HostArray> {
    const { storage } = this.dense("data");
    if (this.size === 0) return decode(new ArrayBuffer(0), this.dtype, 0);
    storage.retain();
    try {
      const bytes = await this.device.backend.download(storage, 0, this.size * bytesPerElement(this.dtype));
      return decode(bytes, this.dtype, this.size);
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
    const { value } = this.#holder;
    if (!value) return;
    this.#holder.value = undefined;
    this.gradNode = undefined;
    tracking.frame?.delete(this);
    releaseValue(value);
    for (const work of this.#cleanups ?? []) work();
    this.#cleanups = undefined;
  }

  /** Runs `work` once this tensor is disposed: for what is kept beside it, such as the plan of a gather. */
  whenDisposed(work: () => void): void {
    this.#cleanups ??= [];
    this.#cleanups.push(work);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Lets the collector give the memory back when nobody holds the tensor any more. */
  watch(): void {
    const count = waiting.push([this, this.#holder]);
    if (count === 1) queueMicrotask(registerWaiting);
    if (count === MOST_WAITING) registerWaiting();
  }

  toString(): string {
    return `Tensor ${describe(this)} (${this.label})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

export interface Tensor extends TensorMethods<Tensor> {}

/** A tensor over storage whose reference the caller hands over. */
export function stored(
  device: Device,
  view: { storage: View["storage"]; layout: Layout },
  dtype: DType,
  label: string,
): Tensor {
  return new Tensor(
    device,
    { kind: "stored", storage: view.storage, layout: view.layout },
    view.layout.shape,
    dtype,
    label,
  );
}

/** A dense tensor without content yet, for an op's result. */
export function empty(device: Device, shape: Shape, dtype: DType, label: string): Tensor {
  const storage = device.backend.allocate(
    numel(shape) * bytesPerElement(dtype),
    `${label} ${describe({ dtype, shape })}`,
  );
  return stored(device, { storage, layout: denseLayout(shape) }, dtype, label);
}

/** The device of several operands. @throws DeviceError when they live on two. */
export function deviceOf(op: string, ...tensors: readonly Tensor[]): Device {
  const { device } = tensors[0]!;
  for (const tensor of tensors) {
    if (tensor.device !== device) {
      throw new DeviceError(
        `${op}: operands are on two devices: ${device.info.adapter} and ${tensor.device.info.adapter}`,
      );
    }
  }
  return device;
}
