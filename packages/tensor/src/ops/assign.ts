import { describe, ShapeError } from "../errors.ts";
import { sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast, isFinite } from "./pointwise.ts";
import { amin } from "./reduce.ts";

/**
 * Writes a value into a parameter: the only change in place that there is for users. What was recorded before it still reads
 * the old values. @throws ShapeError when shape or dtype differ.
 */
export function assign(target: Tensor, value: Tensor): void {
  if (!sameShape(target.shape, value.shape) || target.dtype !== value.dtype) {
    throw new ShapeError(`assign: ${describe(value)} does not fit the parameter ${describe(target)}`);
  }
  const input = value.view("assign");
  const out = target.writable("assign");
  if (input.storage !== out.storage) target.device.backend.copy({ out, input });
}

/** Throws when `x` holds a NaN or an infinity, naming `where`. Reads one number from the device. */
export async function checkFinite(x: Tensor, where: string): Promise<void> {
  if (x.size > 0 && (await amin(cast(isFinite(x), "f32")).item()) === 0) {
    throw new Error(`checkFinite: ${describe(x)} (made by \`${x.label}\`) holds a NaN or an infinity ${where}`);
  }
}
