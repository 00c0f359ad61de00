import { gradEnabled, scope, type Tensor } from "@deplsr/tensor";

/** Runs a part of a network. Where no graph is recorded, everything that it makes but its result is given back at once. */
export function transient<Result extends Tensor | readonly Tensor[]>(part: () => Result): Result {
  return gradEnabled() ? part() : (scope(part) as Result); // a result of tensors is no promise
}

/** Returns `next`; where no graph is recorded, `previous` is given back. */
export function replaced(previous: Tensor, next: Tensor): Tensor {
  if (!gradEnabled() && previous !== next) previous.dispose();
  return next;
}
