import { checkFunction, checkTensor } from "./arguments.ts";
import { refuseAsync } from "./errors.ts";
import { type Frame, Tensor, tracking } from "./tensor.ts";

/**
 * Runs `work` and frees every tensor made in it, except those in its result (a tensor, or arrays, maps and plain objects of
 * them) and those that were `keep`-ed. Scopes nest; what leaves an inner one belongs to the outer one.
 * @throws Error when the result is a promise, or a tensor that still has a graph: return `detach(loss)`.
 */
export function scope<T>(work: () => T): T extends PromiseLike<unknown> ? never : T;
export function scope<T>(work: () => T): T {
  checkFunction("scope", "work", work);
  return inFrame(
    () => refuseAsync("scope", work()),
    (leaving) => {
      for (const tensor of leaving) {
        if (tensor.hasGraph) {
          throw new Error(`scope: the result of \`${tensor.label}\` still has a graph: return detach(x)`);
        }
        tensor.view("scope");
      }
    },
  );
}

/**
 * Runs a part of a computation and frees every tensor made in it, as `scope` does, except those in its result, which may have graphs: what
 * their gradients need stays with these.
 * @throws Error when the result is a promise.
 */
export function transient<T>(part: () => T): T extends PromiseLike<unknown> ? never : T;
export function transient<T>(part: () => T): T {
  checkFunction("transient", "part", part);
  return inFrame(
    () => refuseAsync("transient", part()),
    (leaving) => {
      for (const tensor of leaving) tensor.view("transient");
    },
    true,
  );
}

/** The same, but a result that is pending stays so: for what is one op to its caller. */
export function transientResult<T>(part: () => T): T {
  return inFrame(part, () => {}, true);
}

/**
 * Runs `work` in a frame of its own. What is in its result goes over to the frame around it, after `check`.
 * @param withGraphs graphs go over as well
 */
function inFrame<T>(work: () => T, check: (leaving: Iterable<Tensor>) => void, withGraphs = false): T {
  const outer = tracking.frame;
  const frame: Frame = { tensors: new Set(), graphs: [] };
  tracking.frame = frame;
  let done = false;
  try {
    const result = work();
    const leaving = leavingWith(result, frame);
    check(leaving);
    for (const tensor of leaving) {
      frame.tensors.delete(tensor);
      pass(tensor, outer);
    }
    done = true;
    return result;
  } finally {
    tracking.frame = outer;
    if (done && withGraphs) outer?.graphs.push(...frame.graphs);
    else for (const node of frame.graphs) node.end("scope");
    // Without the set's help: it would be changed by each of them.
    const saved: Tensor[] = [];
    for (const tensor of frame.tensors) {
      tensor.frame = undefined;
      if (tensor.saved && done && withGraphs) saved.push(tensor);
      else tensor.letGo();
    }
    // What belongs to graphs that nobody holds any more is gone by now.
    for (const tensor of saved) if (!tensor.disposed) pass(tensor, outer);
  }
}

/** What of a frame is in a result, each once: it may hold a tensor twice. */
function leavingWith(result: unknown, { tensors }: Frame): Iterable<Tensor> {
  if (result instanceof Tensor) return tensors.has(result) ? [result] : [];
  const leaving = new Set<Tensor>();
  for (const tensor of tensorsIn(result)) if (tensors.has(tensor)) leaving.add(tensor);
  return leaving;
}

/** Hands a tensor over to a frame, or to the collector's net. */
function pass(tensor: Tensor, frame: Frame | undefined): void {
  if (!frame) {
    tensor.watch();
    return;
  }
  frame.tensors.add(tensor);
  tensor.frame = frame;
}

/**
 * Lets a tensor outlive the scopes it was made in, from this moment on and however they end; from then on it is its owner's to dispose.
 * A graph does not outlive its scope: keep `detach(x)`, or take the gradient inside.
 */
export function keep<T extends Tensor>(tensor: T): T {
  checkTensor("keep", "tensor", tensor);
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
