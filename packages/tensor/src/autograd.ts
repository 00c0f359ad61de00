import { describe } from "./errors.ts";
import { scope } from "./scope.ts";
import { sameShape } from "./shape.ts";
import { type GradNode, Tensor } from "./tensor.ts";

let enabled = true;
let nextId = 1;

/** Adds two gradients; given by ops/pointwise.ts, which imports this file. */
let addGradients: (a: Tensor, b: Tensor) => Tensor;
/** A tensor of ones like its argument; given the same way. */
let onesLike: (x: Tensor) => Tensor;

/** Breaks the circle between gradients and the ops that compute them. Called once, by the ops. */
export function provide(functions: { add: typeof addGradients; onesLike: typeof onesLike }): void {
  addGradients = functions.add;
  onesLike = functions.onesLike;
}

/** One input of an op and the function that turns the result's gradient into this input's. */
export type GradPair = readonly [input: Tensor, gradient: (dy: Tensor) => Tensor];

/** Enters an op in the graph: only inputs that need a gradient are kept, so frozen weights cost nothing. Returns `y`. */
export function record(y: Tensor, name: string, ...pairs: readonly GradPair[]): Tensor {
  if (!enabled) return y;
  const wanted = pairs.filter(([input]) => input.requiresGrad);
  if (wanted.length === 0) return y;
  return recordNode(
    y,
    name,
    wanted.map(([input]) => input),
    (dy, add) => {
      for (const [input, gradient] of wanted) add(input, gradient(dy));
    },
  );
}

/** The general form of `record`, for an op that computes the gradients of several inputs together. */
export function recordNode(y: Tensor, name: string, inputs: readonly Tensor[], backward: GradNode["backward"]): Tensor {
  if (enabled) y.gradNode = { id: nextId++, name, inputs, backward };
  return y;
}

/** True where ops record gradients. */
export function gradEnabled(): boolean {
  return enabled;
}

/** Runs `work` without recording a graph. */
export function noGrad<T>(work: () => T): T {
  const before = enabled;
  enabled = false;
  try {
    return work();
  } finally {
    enabled = before;
  }
}

function withGrad<T>(work: () => T): T {
  const before = enabled;
  enabled = true;
  try {
    return work();
  } finally {
    enabled = before;
  }
}

/** Marks a parameter: `backward` gives its gradient. Returns the same tensor. */
export function requireGrad<T extends Tensor>(x: T): T {
  return x.setRequiresGrad(true);
}

/** Takes the mark of `requireGrad` away. */
export function freeze<T extends Tensor>(x: T): T {
  return x.setRequiresGrad(false);
}

/** What `backward` may be told. */
export interface BackwardOptions {
  /** The tensors whose gradients are wanted, any of the graph; default: every leaf that requires one. */
  readonly wrt?: readonly Tensor[];
  /** The gradient of the result itself; default 1, for a result of one element. */
  readonly grad?: Tensor;
}

/**
 * Gradients of `y` with respect to the leaves that require them (or to `wrt`), as a map from tensor to gradient. The graph is
 * given up as it is walked: a second `backward` through it needs a second forward pass.
 * @throws Error when `y` has no graph, or holds more than one element and no `grad` is given.
 */
export function backward(y: Tensor, options: BackwardOptions = {}): Map<Tensor, Tensor> {
  if (!y.requiresGrad)
    throw new Error(
      `backward: ${describe(y)} (made by \`${y.label}\`) does not depend on anything that requires a gradient`,
    );
  if (!options.grad && y.size !== 1) {
    throw new Error(`backward: ${describe(y)} is not one number; reduce it first, or give its gradient`);
  }
  const wanted = options.wrt ? new Set(options.wrt) : undefined;
  return noGrad(() => {
    const gradients = new Gradients();
    const result = new Map<Tensor, Tensor>();
    if (options.grad) gradients.hold(options.grad);
    gradients.add(y, options.grad ?? onesLike(y));
    for (const tensor of descending(y)) {
      const dy = gradients.get(tensor);
      const node = tensor.gradNode;
      if (!dy || !node) continue;
      if (wanted?.has(tensor)) result.set(tensor, gradients.hold(dy));
      node.backward(dy, (input, gradient) => {
        if (!sameShape(input.shape, gradient.shape)) {
          throw new Error(
            `internal: ${node.name} gave a gradient ${describe(gradient)} for an input ${describe(input)}`,
          );
        }
        gradients.add(input, gradient);
      });
      gradients.drop(tensor);
      tensor.gradNode = undefined;
    }
    // What is left belongs to leaves, and to the parameters inside of checkpoints.
    for (const [tensor, dy] of gradients.entries()) {
      if (!wanted || wanted.has(tensor)) result.set(tensor, dy);
    }
    return result;
  });
}

/** Gradients on their way. One tensor may be the gradient of several; its memory goes back when the last has been used. */
class Gradients {
  readonly #byTensor = new Map<Tensor, Tensor>();
  readonly #uses = new Map<Tensor, number>();

  get(tensor: Tensor): Tensor | undefined {
    return this.#byTensor.get(tensor);
  }

  entries(): Iterable<[Tensor, Tensor]> {
    return this.#byTensor;
  }

  add(tensor: Tensor, gradient: Tensor): void {
    const known = this.#byTensor.get(tensor);
    const total = known ? addGradients(known, gradient) : gradient;
    this.#byTensor.set(tensor, this.hold(total));
    // A sum that is still pending reads `known` later, and holds its storage itself.
    if (known) this.#release(known);
  }

  /** Keeps a gradient from being disposed. */
  hold(gradient: Tensor): Tensor {
    this.#uses.set(gradient, (this.#uses.get(gradient) ?? 0) + 1);
    return gradient;
  }

  drop(tensor: Tensor): void {
    const gradient = this.#byTensor.get(tensor);
    this.#byTensor.delete(tensor);
    if (gradient) this.#release(gradient);
  }

  #release(gradient: Tensor): void {
    const left = this.#uses.get(gradient)! - 1;
    this.#uses.set(gradient, left);
    if (left === 0) gradient.dispose();
  }
}

/** Every tensor of the graph, results before what they were computed from, leaves last. */
function descending(y: Tensor): Tensor[] {
  const seen = new Set<Tensor>([y]);
  const stack = [y];
  for (let tensor = stack.pop(); tensor; tensor = stack.pop()) {
    for (const input of tensor.gradNode?.inputs ?? []) {
      if (seen.has(input)) continue;
      seen.add(input);
      stack.push(input);
    }
  }
  return [...seen].sort((a, b) => (b.gradNode?.id ?? 0) - (a.gradNode?.id ?? 0));
}

/**
 * Runs `work` without keeping what its backward pass needs; that is recomputed when the gradient is asked for. Trades one more
 * forward pass for memory. `work` must compute the same both times and use tensors with gradients only as arguments or as
 * parameters.
 */
export function checkpoint(work: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  const y = scope(() => noGrad(() => work(...inputs)));
  if (!enabled) return y;
  return recordNode(y, "checkpoint", inputs, (dy, add) => {
    const again = inputs.map((input) => alias(input).setRequiresGrad(input.requiresGrad));
    const gradients = scope(() => withGrad(() => backward(work(...again), { grad: dy })));
    for (const [tensor, gradient] of gradients) {
      const at = again.indexOf(tensor);
      if (at < 0) add(tensor, gradient);
      else add(inputs[at]!, gradient);
    }
    for (const input of again) input.dispose();
  });
}

/** The same value without its graph. */
export function detach(x: Tensor): Tensor {
  return x.requiresGrad ? alias(x) : x;
}

/** The same storage as another tensor without history. */
export function alias(x: Tensor): Tensor {
  const view = x.view("detach");
  view.storage.retain();
  return new Tensor(
    x.device,
    { kind: "stored", storage: view.storage, layout: view.layout },
    x.shape,
    x.dtype,
    x.label,
  );
}
