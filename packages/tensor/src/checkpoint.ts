import { checkFunction, checkTensors } from "./arguments.ts";
import { gradEnabled, nextNodeId, noGrad, recordAnyway, recording, requireGrad, watching } from "./autograd.ts";
import { boundary, walk } from "./backward.ts";
import { alias } from "./making.ts";
import { madeHere, transientResult } from "./scope.ts";
import { naming, type Tensor, writes } from "./tensor.ts";

/** True while `checkpoint` runs its function again: what counts runs (running statistics) stands still. */
export function recomputing(): boolean {
  return writes.limit !== Number.POSITIVE_INFINITY;
}

/**
 * Runs `work` without keeping what its backward pass needs; that is recomputed when the gradient is asked for. Trades one more
 * forward pass for memory. `work` must compute the same both times and use tensors with gradients only as arguments or as
 * parameters.
 * @throws Error in the backward pass when a tensor that `work` reads was written after the forward pass, or comes out of the graph
 * around it without being an argument.
 */
export function checkpoint(work: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  checkFunction("checkpoint", "work", work);
  checkTensors("checkpoint", "inputs", inputs);
  const wanted = inputs.map((input) => input.requiresGrad);
  const [y, nodes] = watching((note) => {
    inputs.forEach(note);
    return transientResult(() => {
      const result = noGrad(() => work(...inputs));
      note(result);
      // One that was there before would get a second history.
      return madeHere(result) && !result.requiresGrad ? result : alias(result);
    });
  });
  if (!gradEnabled() || nodes.size === 0) return y;
  const limit = writes.count;
  const besides = new Set([...nodes].filter(({ leaf }) => leaf));
  const gradients: Parameters<typeof recordAnyway>[4] = ([dy], give, saved) => {
    const again = saved.map((tensor, i) => (wanted[i] ? requireGrad(alias(tensor)) : alias(tensor)));
    const gradients = rerun(limit, () => {
      const result = recording(true, () => work(...again));
      return result.requiresGrad ? walk(result, { grad: dy! }, again) : new Map<Tensor, Tensor>();
    });
    for (const [tensor, gradient] of gradients) {
      const at = again.indexOf(tensor);
      if (at >= 0) give(at, gradient);
      else give(tensor, gradient);
    }
    for (const input of again) input.dispose();
  };
  recordAnyway([y], "checkpoint", inputs, inputs, gradients, besides);
  return y;
}

/** A second run: reads nothing that was written after write `limit`, and its graph ends where it begins. */
function rerun<T>(limit: number, work: () => T): T {
  const before = { limit: writes.limit, first: boundary.first, op: naming.op };
  writes.limit = limit;
  boundary.first = nextNodeId();
  naming.op = undefined;
  try {
    return transientResult(work);
  } finally {
    writes.limit = before.limit;
    naming.op = before.op;
    boundary.first = before.first;
  }
}
