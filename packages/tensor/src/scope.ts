import { refuseAsync } from "./errors.ts";
import { type Frame, Tensor, tracking } from "./tensor.ts";

/**
 * Runs `work` and frees every tensor made in it, except those in its result (a tensor, or arrays, maps and plain objects of
 * them) and those that were `keep`-ed. Scopes nest; what leaves an inner one belongs to the outer one.
 * @throws Error when the result is a promise, or a tensor that still has a graph: return `detach(loss)`.
 */
export function scope<T>(work: () => T): T extends PromiseLike<unknown> ? never : T;
export function scope<T>(work: () => T): T {
  const outer = tracking.frame;
  const frame: Frame = { tensors: new Set(), graphs: [] };
  tracking.frame = frame;
  try {
    const result = refuseAsync("scope", work());
    // Each once: a result may hold a tensor twice.
    const leaving = new Set([...tensorsIn(result)].filter((tensor) => frame.tensors.has(tensor)));
    for (const tensor of leaving) {
      if (tensor.hasGraph) {
        throw new Error(`scope: the result of \`${tensor.label}\` still has a graph: return detach(x)`);
      }
      tensor.view("scope");
    }
    for (const tensor of leaving) {
      frame.tensors.delete(tensor);
      if (outer) {
        outer.tensors.add(tensor);
        tensor.frame = outer;
      } else tensor.watch();
    }
    return result;
  } finally {
    tracking.frame = outer;
    for (const node of frame.graphs) node.end("scope");
    // Without the set's help: it would be changed by each of them.
    for (const tensor of frame.tensors) {
      tensor.frame = undefined;
      tensor.dispose();
    }
  }
}

/**
 * Lets a tensor outlive the scopes it was made in, from this moment on and however they end; from then on it is its owner's to dispose.
 * A graph does not outlive its scope: keep `detach(x)`, or take the gradient inside.
 */
export function keep<T extends Tensor>(tensor: T): T {
  tensor.keep();
  return tensor;
}

/** True where a tensor was made in the innermost scope. */
export function madeHere(tensor: Tensor): boolean {
  return tensor.frame !== undefined && tensor.frame === tracking.frame;
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (value instanceof Map) {
    for (const [key, item] of value) {
      if (key instanceof Tensor) yield key;
      yield* tensorsIn(item);
    }
  } else if (Array.isArray(value)) {
    for (const item of value) yield* tensorsIn(item);
  } else if (value && Object.getPrototypeOf(value) === Object.prototype) {
    yield* tensorsIn(Object.values(value));
  }
}
