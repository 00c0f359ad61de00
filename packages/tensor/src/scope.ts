import { Tensor, tracking } from "./tensor.ts";

const kept = new WeakSet<Tensor>();

/**
 * Runs `work` and frees every tensor made in it, except those in its result (a tensor, or arrays, maps and plain objects of
 * them) and those that were `keep`-ed. Scopes nest; what leaves an inner one belongs to the outer one.
 * @throws Error when the result is a promise, or a tensor that still has a graph: return `detach(loss)`.
 */
export function scope<T>(work: () => T): T extends PromiseLike<unknown> ? never : T;
export function scope<T>(work: () => T): T {
  const outer = tracking.frame;
  const frame = new Set<Tensor>();
  tracking.frame = frame;
  let done = false;
  try {
    const result = work();
    if (result instanceof Promise)
      throw new Error("scope: the function is asynchronous; read numbers outside the scope");
    for (const tensor of tensorsIn(result)) {
      if (!frame.has(tensor)) continue;
      if (tensor.gradNode)
        throw new Error(`scope: the result of \`${tensor.label}\` still has a graph: return detach(x)`);
      tensor.view("scope");
      frame.delete(tensor);
      if (outer) outer.add(tensor);
      else tensor.watch();
    }
    done = true;
    return result;
  } finally {
    tracking.frame = undefined;
    for (const tensor of frame) {
      if (tensor.disposed) continue;
      if (done && kept.has(tensor)) {
        tensor.view("keep");
        tensor.watch();
      } else {
        tensor.dispose();
      }
    }
    tracking.frame = outer;
  }
}

/** Lets a tensor outlive the scopes it was made in; from then on it is its owner's to dispose. */
export function keep<T extends Tensor>(tensor: T): T {
  kept.add(tensor);
  return tensor;
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
