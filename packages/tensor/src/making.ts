/** Making tensors: results of ops, views, aliases. */
import { Deferred, type Work } from "./deferred.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { DeviceError, describe } from "./errors.ts";
import { denseLayout, type Layout } from "./layout.ts";
import { numel, type Shape } from "./shape.ts";
import type { Storage, View } from "./storage.ts";
import { type Device, storedIn, Tensor, valueOf } from "./tensor.ts";
import { type Pending, type Stored, Value } from "./value.ts";

/** A tensor over storage, or a pending tree, whose references the caller hands over. */
export function made(
  device: Device,
  state: Stored | Pending,
  shape: Shape,
  dtype: DType,
  label: string,
  viewOf?: string,
): Tensor {
  return new Tensor(device, new Value(device.backend, state, shape, dtype, label), label, viewOf);
}

/** A dense tensor without content yet, for an op's result. */
export function empty(device: Device, shape: Shape, dtype: DType, label: string): Tensor {
  return filled(device, shape, dtype, label, () => {});
}

/** The same in f32 and in memory that is there, where that is as large, which it takes a reference to. */
export function emptyIn(place: Storage | undefined, device: Device, shape: Shape, label: string): Tensor {
  if (place?.bytes !== 4 * numel(shape)) return empty(device, shape, "f32", label);
  place.retain();
  return made(device, storedIn(place, shape), shape, "f32", label);
}

/** A dense tensor that `fill` writes; nothing is left behind where it fails. */
export function filled(
  device: Device,
  shape: Shape,
  dtype: DType,
  label: string,
  fill: (out: View) => void,
  host?: Int32Array | Uint32Array,
): Tensor {
  return new Tensor(device, valueOf(device, shape, dtype, label, fill, host), label);
}

/** A dense tensor that a launch writes when something reads it, where the backend has epilogues: it may go on computing with that. */
export function launched(device: Device, work: Work): Tensor {
  const { backend } = device;
  const { shape, dtype, label } = work;
  const bytes = numel(shape) * bytesPerElement(dtype);
  // What is too large for the device is refused now.
  if (!backend.epilogues || bytes > backend.info.maxTensorBytes) {
    return filled(device, shape, dtype, label, (out) => work.record(out));
  }
  const storage = new Deferred(backend, work, bytes, `${label} ${describe({ dtype, shape })}`);
  return made(device, { kind: "stored", storage, layout: denseLayout(shape) }, shape, dtype, label);
}

/** The same storage under another layout. Labelled by the op that makes it. */
export function viewAs(x: Tensor, layout: Layout, op: string): Tensor {
  const source = x.value(op);
  const { storage } = source.lazy();
  source.consumers++;
  storage.retain();
  const value = new Value(x.device.backend, { kind: "stored", storage, layout }, layout.shape, x.dtype, op);
  value.below = source.below;
  return new Tensor(x.device, value, op, op);
}

/** Another tensor of the same value, without history: disposing one leaves the other. */
export function alias(x: Tensor, op = "detach"): Tensor {
  return new Tensor(x.device, x.value(op).retain(), x.label, op);
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
