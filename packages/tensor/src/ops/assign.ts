import { checkTensor, wrongArgument } from "../arguments.ts";
import type { Storage } from "../backend.ts";
import { capturing } from "../capturing.ts";
import { bytesPerElement } from "../dtype.ts";
import { DTypeError, describe, ShapeError } from "../errors.ts";
import { isDense } from "../layout.ts";
import { deviceOf } from "../making.ts";
import { sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { computeOver } from "../together.ts";
import { cast, isFinite } from "./pointwise.ts";
import { amin } from "./reduce.ts";

/**
 * Gives a tensor, such as a parameter, another value: with the optimizers the only change that there is for users. The tensor alone
 * changes: views of it, what was recorded before, reads under way and gradients keep the old values.
 * What is assigned carries no graph.
 * @throws ShapeError, DTypeError when they differ in shape or dtype; DeviceError for a value of another device; Error when `target` is a
 * view of another tensor, or a result whose gradient is still to come.
 */
export function assign(target: Tensor, value: Tensor): void {
  checkAssign(target, value);
  write(target, value);
}

/**
 * `assign` for many, to the same bits. What is pending is computed as by `computeTogether`: in a launch for many, and over the old numbers where nobody else
 * holds any of those. @throws as `assign`, before anything is written
 */
export function assignTogether(writes: readonly (readonly [target: Tensor, value: Tensor])[]): void {
  if (!Array.isArray(writes)) throw wrongArgument("assignTogether", "writes", "an array of [target, value]", writes);
  for (const [target, value] of writes) checkAssign(target, value);
  if (new Set(writes.map(([target]) => target)).size < writes.length)
    throw new Error("assignTogether: a target is given twice");
  computeOver(writes);
  for (const [target, value] of writes) write(target, value);
}

function checkAssign(target: Tensor, value: Tensor): void {
  checkTensor("assign", "target", target);
  checkTensor("assign", "value", value);
  deviceOf("assign", target, value);
  if (!sameShape(target.shape, value.shape)) {
    throw new ShapeError(`assign: ${describe(value)} does not fit the parameter ${describe(target)}`);
  }
  if (target.dtype !== value.dtype) {
    throw new DTypeError(`assign: ${describe(value)} does not fit the parameter ${describe(target)}; cast it`);
  }
  target.value("assign");
  target.checkWritable("assign");
}

function write(target: Tensor, value: Tensor): void {
  if (value.value("assign").computeInto(target.value("assign"))) {
    target.rebind("assign", value.value("assign").retain());
    return;
  }
  const input = value.view("assign");
  // What is captured writes where the tensor lies, call after call.
  const moves = input.storage !== storageOf(target) && capturing.watcher?.isOutside(target);
  const whole =
    !moves && input.layout.offset === 0 && isDense(input.layout) && input.storage.bytes < 2 * bytesOf(target) + 512;
  if (whole) {
    target.rebind("assign", value.value("assign").retain());
    return;
  }
  // A part of something larger, or an expanded number, would hold too much, or has to be laid out anyway.
  const { after, commit, abandon } = target.overwrite("assign");
  try {
    target.device.backend.copy({ out: after, input });
  } catch (error) {
    abandon();
    throw error;
  }
  commit();
}

function storageOf(target: Tensor): Storage | undefined {
  const { state } = target.value("assign");
  return state.kind === "stored" ? state.storage : undefined;
}

function bytesOf({ size, dtype }: Tensor): number {
  return size * bytesPerElement(dtype);
}

/** Throws when `x` holds a NaN or an infinity, naming `where`. Reads one number from the device. */
export async function checkFinite(x: Tensor, where: string): Promise<void> {
  checkTensor("checkFinite", "x", x);
  if (typeof where !== "string") throw wrongArgument("checkFinite", "where", "a string", where);
  if (x.size > 0 && (await amin(cast(isFinite(x), "f32")).item()) === 0) {
    throw new Error(`checkFinite: ${describe(x)} (made by \`${x.label}\`) holds a NaN or an infinity ${where}`);
  }
}
