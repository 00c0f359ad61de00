import { gradEnabled, scope, type Tensor } from "@deplsr/tensor";

/** Runs `step`. Where no graph is recorded, everything that it makes but its result is given back at once. */
export function transient(step: () => Tensor): Tensor {
  return gradEnabled() ? step() : scope(step);
}

/** Returns `next`; where no graph is recorded, `previous` is given back. */
export function replaced(previous: Tensor, next: Tensor): Tensor {
  if (!gradEnabled() && previous !== next) previous.dispose();
  return next;
}
