import { type DType, isFloat } from "./dtype.ts";
import { DTypeError, describe, refuseAsync, ShapeError } from "./errors.ts";
import { madeHere, scope } from "./scope.ts";
import { type Shape, sameShape } from "./shape.ts";
import { alias, deviceOf, type Edge, type GraphNode, naming, type Tensor, writes } from "./tensor.ts";

let enabled = true;
let nextId = 1;
/** While a checkpoint runs without a graph: whether anything in it wants a gradient. */
let watched: { needed: boolean } | undefined;
/** While a checkpoint runs again: nodes before this one belong to others. */
let oldest = 0;

/** Adds two gradients; given by ops/pointwise.ts, which imports this file. */
let addGradients: (a: Tensor, b: Tensor) => Tensor;
/** Another element type; given the same way. */
let castGradient: (x: Tensor, dtype: DType) => Tensor;

/** Breaks the circle between gradients and the ops that compute them. Called once, by the ops. */
export function provide(functions: { add: typeof addGradients; cast: typeof castGradient }): void {
  addGradients = functions.add;
  castGradient = functions.cast;
}

/** Hands a gradient on to where it goes. All are f32 on their way, those of f16 tensors too. */
type Give = (edge: Edge, gradient: Tensor) => void;

/**
 * Turns the gradients of a node's outputs (undefined where none arrived) into those of its inputs, which `give` takes. `saved` are what was
 * asked to be saved, with the values that they had.
 */
type Run = (dys: readonly (Tensor | undefined)[], give: Give, saved: readonly Tensor[]) => void;

/** An op that was recorded, or a leaf. Tensors, and the nodes after it, hold it; when they let go it lets go of what it saved. */
class Node implements GraphNode {
  /** Grows with every recorded op, so that descending order is an order for the backward pass; 0 for leaves. */
  readonly id: number;
  readonly name: string;
  readonly leaf: Tensor | undefined;
  readonly outputs: readonly { readonly shape: Shape; readonly dtype: DType }[];
  inputs: readonly Edge[];
  saved: readonly Tensor[];
  run: Run | undefined;
  endedBy: "backward" | "scope" = "backward";
  #holders = 0;

  constructor(name: string, outputs: readonly Tensor[], inputs: readonly Edge[], saved: readonly Tensor[], run?: Run) {
    this.id = run ? nextId++ : 0;
    this.name = name;
    this.leaf = run ? undefined : outputs[0]!;
    this.outputs = outputs.map(({ shape, dtype }) => ({ shape, dtype }));
    this.inputs = inputs;
    this.saved = saved;
    this.run = run;
    for (const { node } of inputs) (node as Node).#holders++;
    outputs.forEach((tensor, output) => {
      if (tensor.edge) throw new Error(`internal: ${name} records a result that has a history`);
      tensor.edge = { node: this, output };
      this.#holders++;
    });
  }

  /** True when its backward pass is over, or nobody can ask for one. */
  get ended(): boolean {
    return this.run === undefined && this.leaf === undefined;
  }

  hold(): void {
    this.#holders++;
  }

  drop(): void {
    if (--this.#holders === 0) this.end();
  }

  /** Lets go of what it holds, and of the nodes before it that nobody else holds. */
  end(by: "backward" | "scope" = "backward"): void {
    if (!this.ended) this.endedBy = by;
    // By hand instead of by recursion: graphs are as deep as programs are long.
    const ending: Node[] = [this];
    for (let node = ending.pop(); node; node = ending.pop()) {
      if (node.leaf) continue;
      const { saved, inputs } = node;
      node.run = undefined;
      node.saved = [];
      node.inputs = [];
      for (const tensor of saved) tensor.dispose();
      for (const edge of inputs) {
        const input = edge.node as Node;
        if (--input.#holders === 0) ending.push(input);
      }
    }
  }

  toString(): string {
    return `\`${this.name}\` ${this.outputs.map(describe).join(", ")}`;
  }
}

/**
 * One input of an op, what of the forward pass its gradient needs, and the function that turns the result's gradient into this input's. What
 * is needed is passed to the function with the values of now, whatever is written or disposed of later: a gradient function takes no
 * tensor from around it, only shapes and numbers. Gradients come and go as f32, whatever the tensors are.
 */
export type GradPair =
  | readonly [input: Tensor, gradient: (dy: Tensor) => Tensor]
  | readonly [input: Tensor, needs: readonly Tensor[], gradient: (dy: Tensor, ...saved: Tensor[]) => Tensor];

/** Enters an op in the graph: only inputs that need a gradient are kept, so frozen weights cost nothing. Returns `y`. */
export function record(y: Tensor, name: string, ...pairs: readonly GradPair[]): Tensor {
  const wanted = pairs.filter(([input]) => input.requiresGrad);
  if (wanted.length === 0) return y;
  const needs: Tensor[] = [];
  const places = wanted.map((pair) =>
    pair.length === 2
      ? []
      : pair[1].map((tensor) => {
          const known = needs.indexOf(tensor);
          return known >= 0 ? known : needs.push(tensor) - 1;
        }),
  );
  const inputs = wanted.map(([input]) => input);
  recordTogether([y], name, inputs, needs, ([dy], give, saved) => {
    wanted.forEach((pair, i) => {
      const gradient = pair.length === 2 ? pair[1] : pair[2];
      give(i, gradient(dy!, ...places[i]!.map((place) => saved[place]!)));
    });
  });
  return y;
}

/**
 * The general form of `record`: several results, or gradients that are computed together. `give` names inputs by their places; a leaf that
 * is no input by itself.
 */
export function recordTogether(
  ys: readonly Tensor[],
  name: string,
  inputs: readonly Tensor[],
  needs: readonly Tensor[],
  gradients: (
    dys: readonly (Tensor | undefined)[],
    give: (input: number | Tensor, gradient: Tensor) => void,
    saved: readonly Tensor[],
  ) => void,
): void {
  if (!enabled) {
    if (watched) watched.needed ||= inputs.some((input) => input.requiresGrad);
    return;
  }
  const edges = inputs.map((input) => input.edge);
  const saved = needs.map((tensor) => alias(tensor, naming.op ?? name));
  new Node(
    naming.op ?? name,
    ys,
    edges.filter((edge) => edge !== undefined),
    saved,
    (dys, give, own) => {
      gradients(
        dys,
        (input, gradient) => {
          const edge = typeof input === "number" ? edges[input] : input.edge;
          if (edge) give(edge, gradient);
        },
        own,
      );
    },
  );
}

/** Runs an op that is made of other ops under its own name: that is what messages about the graph call its parts. */
export function within<T>(op: string, work: () => T): T {
  if (naming.op !== undefined) return work();
  naming.op = op;
  try {
    return work();
  } finally {
    naming.op = undefined;
  }
}

/** True where ops record gradients. */
export function gradEnabled(): boolean {
  return enabled;
}

/**
 * Runs `work` without recording a graph.
 * @throws Error when `work` is asynchronous: what it does after its first `await` would be recorded.
 */
export function noGrad<T>(work: () => T): T extends PromiseLike<unknown> ? never : T;
export function noGrad<T>(work: () => T): T {
  return refuseAsync("noGrad", recording(false, work));
}

function recording<T>(on: boolean, work: () => T): T {
  const before = enabled;
  enabled = on;
  try {
    return work();
  } finally {
    enabled = before;
  }
}

/**
 * Marks a parameter: `backward` gives its gradient. Returns the same tensor; the result of a recorded op stays what it is.
 * @throws DTypeError for whole numbers, which have no gradients
 */
export function requireGrad<T extends Tensor>(x: T): T {
  if (!isFloat(x.dtype))
    throw new DTypeError(`requireGrad: ${describe(x)} holds no floats: only f32 and f16 have gradients`);
  if (x.disposed) x.value("requireGrad");
  if (!x.edge) new Node(x.label, [x], [], []);
  return x;
}

/** Takes the mark of `requireGrad` away. @throws Error for the result of a recorded op: `detach` it */
export function freeze<T extends Tensor>(x: T): T {
  if (x.hasGraph) throw new Error(`freeze: ${describe(x)} (made by \`${x.label}\`) is no leaf: detach(x) has no graph`);
  x.leaveGraph();
  return x;
}

/** What `backward` may be told. */
export interface BackwardOptions {
  /** The tensors whose gradients are wanted, any of the graph; default: every leaf that requires one. */
  readonly wrt?: readonly Tensor[];
  /** The gradient of the result itself, of its shape, f32 or f16; default 1, for a result of one element. */
  readonly grad?: Tensor;
  /** Keeps the graph for another `backward`. */
  readonly retainGraph?: boolean;
}

const OPTIONS: readonly string[] = ["wrt", "grad", "retainGraph"] satisfies (keyof BackwardOptions)[];

function checkSeed(y: Tensor, options: BackwardOptions): void {
  for (const name of Object.keys(options)) {
    if (name === "createGraph") {
      throw new Error("backward: createGraph is not supported: gradients carry no graph, so they have no gradients");
    }
    if (!OPTIONS.includes(name)) throw new Error(`backward: option ${name} is none of ${OPTIONS.join(", ")}`);
  }
  const { grad } = options;
  const what = `${describe(y)} (made by \`${y.label}\`)`;
  if (!y.requiresGrad) {
    throw new Error(
      `backward: ${what} does not depend on anything that requires a gradient (gradients themselves carry no graph)`,
    );
  }
  if (!grad) {
    if (y.size !== 1) throw new Error(`backward: ${what} is not one number; reduce it first, or give its gradient`);
    return;
  }
  deviceOf("backward", y, grad);
  if (!sameShape(grad.shape, y.shape))
    throw new ShapeError(`backward: grad ${describe(grad)} is not of the shape of ${what}`);
  if (!isFloat(grad.dtype)) throw new DTypeError(`backward: grad ${describe(grad)} is not of the dtype of ${what}`);
}

/** @throws Error where a part of the graph is gone */
function refuseEnded(y: Tensor, order: readonly Node[]): void {
  const what = `${describe(y)} (made by \`${y.label}\`)`;
  for (const node of order) {
    if (node.ended && node.endedBy === "backward") {
      throw new Error(
        `backward: the graph behind ${what} ends at ${node}, which an earlier backward has given up: pass { retainGraph: true } to that one`,
      );
    }
    if (node.ended || node.saved.some((tensor) => tensor.disposed)) {
      throw new Error(
        `backward: the graph behind ${what} ends at ${node}, which was given back with its scope: call backward inside of it`,
      );
    }
    if (!node.leaf && node.id < oldest) {
      throw new Error(
        `checkpoint: the function takes the result of ${node} from around it: pass it as an argument, so that its gradient is known`,
      );
    }
  }
}

/**
 * Gradients of `y` with respect to the leaves that require them (or to `wrt`), as a map from tensor to gradient, each a tensor of its
 * own and of that tensor's dtype. They are f32 until then: those of f16 tensors are added up in f32 and rounded once. The graph is given
 * up as it is walked, unless `retainGraph` is set.
 * @throws Error when `y` has no graph, or one that an earlier `backward` has given up, or holds more than one element and no `grad` is
 * given; ShapeError, DTypeError when `grad` does not fit.
 */
export function backward(y: Tensor, options: BackwardOptions = {}): Map<Tensor, Tensor> {
  return walk(y, options, true);
}

/** @param round false leaves the gradients of f16 tensors in f32 */
function walk(y: Tensor, options: BackwardOptions, round: boolean): Map<Tensor, Tensor> {
  checkSeed(y, options);
  const { wrt, grad, retainGraph = false } = options;
  const start = y.edge!;
  const order = descending(start.node as Node);
  refuseEnded(y, order);
  return noGrad(() => {
    const gradients = new Gradients();
    const result = new Results();
    const rounds = (tensor: Tensor): boolean => round && tensor.dtype !== "f32";
    const give: Give = ({ node, output }, gradient) => {
      const expected = (node as Node).outputs[output]!;
      if (!sameShape(expected.shape, gradient.shape)) {
        throw new Error(`internal: a gradient ${describe(gradient)} for ${node}`);
      }
      if (gradient.dtype !== "f32")
        throw new Error(`internal: a gradient ${describe(gradient)}, which is not f32, for ${node}`);
      gradients.add(node as Node, output, gradient);
    };
    if (!grad) give(start, y.device.ones(y.shape));
    else give(start, grad.dtype === "f32" ? alias(grad) : castGradient(grad, "f32"));
    // Nodes whose tensors are disposed of are held by those after them, which end first.
    for (const node of order) node.hold();
    let done = 0;
    try {
      for (const node of order) {
        const dys = node.leaf ? undefined : gradients.take(node);
        if (dys) {
          for (const tensor of wrt ?? []) {
            const dy = tensor.edge?.node === node ? dys[tensor.edge.output] : undefined;
            if (dy) result.set(tensor, rounds(tensor) ? castGradient(dy, tensor.dtype) : gradients.hold(dy));
          }
          const { saved } = node;
          node.run!(dys, (edge, gradient) => give(edge, saved.includes(gradient) ? alias(gradient) : gradient), saved);
          gradients.settle(dys);
        }
        if (!retainGraph) node.end();
        node.drop();
        done++;
      }
    } finally {
      for (const node of order.slice(done)) node.drop();
    }
    // What is left belongs to leaves, and to the parameters inside of checkpoints.
    for (const [{ leaf }, [dy]] of gradients.entries()) {
      if (!dy) continue;
      const asked = leaf && (!wrt || wrt.includes(leaf)) ? leaf : undefined;
      if (asked) result.set(asked, rounds(asked) ? castGradient(dy, asked.dtype) : dy);
      if (!asked || rounds(asked)) gradients.settle([dy]);
    }
    return result.map;
  });
}

/** What `backward` gives: a tensor that is the gradient of several stands there as one of its own for each. */
class Results {
  readonly map = new Map<Tensor, Tensor>();
  readonly #taken = new Set<Tensor>();

  set(tensor: Tensor, gradient: Tensor): void {
    this.map.set(tensor, this.#taken.has(gradient) ? alias(gradient) : gradient);
    this.#taken.add(gradient);
  }
}

/** Gradients on their way. One tensor may be the gradient of several; its memory goes back when the last has been used. */
class Gradients {
  readonly #byNode = new Map<Node, (Tensor | undefined)[]>();
  readonly #uses = new Map<Tensor, number>();
  /** Parts of sums, which nobody may need any more. */
  #loose: Tensor[] = [];

  entries(): Iterable<[Node, readonly (Tensor | undefined)[]]> {
    return this.#byNode;
  }

  add(node: Node, output: number, gradient: Tensor): void {
    let own = this.#byNode.get(node);
    if (!own) {
      own = node.outputs.map(() => undefined);
      this.#byNode.set(node, own);
    }
    const known = own[output];
    // A sum that is still pending reads its parts later, and holds their storage itself.
    own[output] = this.hold(known ? addGradients(known, gradient) : gradient);
    if (known) {
      this.#release(known);
      this.#loose.push(gradient);
    }
  }

  /** Takes out what arrived at a node; `settle` gives it back. */
  take(node: Node): readonly (Tensor | undefined)[] | undefined {
    const own = this.#byNode.get(node);
    this.#byNode.delete(node);
    return own;
  }

  /** Keeps a gradient from being disposed. */
  hold(gradient: Tensor): Tensor {
    this.#uses.set(gradient, (this.#uses.get(gradient) ?? 0) + 1);
    return gradient;
  }

  /** Gives back what has been used, and what was only part of a sum. */
  settle(used: readonly (Tensor | undefined)[]): void {
    for (const dy of used) if (dy) this.#release(dy);
    for (const part of this.#loose.splice(0)) if (!this.#uses.get(part)) part.dispose();
  }

  #release(gradient: Tensor): void {
    const left = this.#uses.get(gradient)! - 1;
    this.#uses.set(gradient, left);
    if (left === 0) gradient.dispose();
  }
}

/** Every node of the graph, results before what they were computed from, leaves last. */
function descending(start: Node): Node[] {
  const seen = new Set<Node>([start]);
  const stack = [start];
  for (let node = stack.pop(); node; node = stack.pop()) {
    for (const edge of node.inputs) {
      const input = edge.node as Node;
      if (seen.has(input)) continue;
      seen.add(input);
      stack.push(input);
    }
  }
  return [...seen].sort((a, b) => b.id - a.id);
}

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
  const outside = watched;
  const own = { needed: inputs.some((input) => input.requiresGrad) };
  watched = own;
  let y: Tensor;
  try {
    // A result that was there before would get a second history.
    y = scope(() => {
      const result = noGrad(() => work(...inputs));
      own.needed ||= result.requiresGrad;
      return madeHere(result) && !result.requiresGrad ? result : alias(result);
    });
  } finally {
    watched = outside;
  }
  if (outside) outside.needed ||= own.needed;
  if (!enabled || !own.needed) return y;
  const limit = writes.count;
  const wanted = inputs.map((input) => input.requiresGrad);
  recordTogether([y], "checkpoint", inputs, inputs, ([dy], give, saved) => {
    const again = saved.map((tensor, i) => (wanted[i] ? requireGrad(alias(tensor)) : alias(tensor)));
    const gradients = rerun(limit, () => {
      const result = recording(true, () => work(...again));
      return result.requiresGrad ? walk(result, { grad: dy! }, false) : new Map<Tensor, Tensor>();
    });
    for (const [tensor, gradient] of gradients) {
      const at = again.indexOf(tensor);
      if (at >= 0) give(at, gradient);
      else give(tensor, gradient);
    }
    for (const input of again) input.dispose();
  });
  return y;
}

/** A second run: reads nothing that was written after write `limit`, and its graph ends where it begins. */
function rerun<T>(limit: number, work: () => T): T {
  const before = { limit: writes.limit, oldest, op: naming.op };
  writes.limit = limit;
  oldest = nextId;
  naming.op = undefined;
  try {
    return scope(work) as T;
  } finally {
    writes.limit = before.limit;
    naming.op = before.op;
    oldest = before.oldest;
  }
}

/** The same value without its graph. */
export function detach(x: Tensor): Tensor {
  return x.requiresGrad ? alias(x) : x;
}
