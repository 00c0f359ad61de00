import { composed } from "../autograd.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError, describe } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./pointwise.ts";

/**
 * What ops of real numbers share. Kernels sum in f32, and many know nothing else: what is f16 is widened for them here, and the result
 * rounded to f16 once.
 */

/** @throws DTypeError unless all that are given are f32, or all f16 */
export function checkFloats(op: string, operands: Readonly<Record<string, Tensor | undefined>>): void {
  const tensors = Object.values(operands).filter((x) => x !== undefined);
  const { dtype } = tensors[0]!;
  if (isFloat(dtype) && tensors.every((x) => x.dtype === dtype)) return;
  const given = Object.entries(operands).filter((entry): entry is [string, Tensor] => entry[1] !== undefined);
  const what = given.map(([name, x]) => `${name} ${describe(x)}`).join(", ");
  const wanted = given.length === 1 ? "f32 or f16" : "f32, or f16, all alike";
  throw new DTypeError(`${op}: takes ${wanted}, got ${what}`);
}

/** The same values in f32 where they are f16. */
export function widened(x: Tensor): Tensor {
  return x.dtype === "f16" ? cast(x, "f32") : x;
}

/** An op of f16 operands: computed in f32 throughout, the result in f16. Gradients pass through both casts. */
export function throughF32<Args extends (Tensor | undefined)[]>(
  op: string,
  operands: readonly [...Args],
  work: (...operands: Args) => Tensor,
): Tensor {
  return composed(op, () => {
    // Each in its place.
    const wide = operands.map((x) => x && cast(x, "f32")) as Args;
    return cast(work(...wide), "f16");
  });
}
