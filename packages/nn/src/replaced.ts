import type { Tensor } from "@deplsr/tensor";

/** Returns `next`; `previous`, which nobody else has, is given back. */
export function replaced(previous: Tensor, next: Tensor): Tensor {
  if (previous !== next) previous.dispose();
  return next;
}
