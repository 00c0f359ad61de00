import { checkFlag, checkFunction, checkOptionalTensor, checkOptions, checkTensor, checkTensors } from "./arguments.ts";
import { type Node, noGrad } from "./autograd.ts";
import type { Storage } from "./backend.ts";
import { capturing } from "./capturing.ts";
import { type DType, isFloat } from "./dtype.ts";
import { ArgumentError, DTypeError, describe, ShapeError } from "./errors.ts";
import { GradientLots } from "./gradient-lots.ts";
import { alias, deviceOf } from "./making.ts";
import { transientResult } from "./scope.ts";
import { sameShape } from "./shape.ts";
import { Telling } from "./telling.ts";
import { destination, type Edge, type Holder, type Tensor } from "./tensor.ts";

/** Adds two gradients; given by ops/pointwise.ts, which imports this file. */
let addGradients: (a: Tensor, b: Tensor) => Tensor;
/** Another element type; given the same way. */
let castGradient: (x: Tensor, dtype: DType) => Tensor;

/** Breaks the circle between gradients and the ops that compute them. Called once, by the ops. */
export function provide(functions: { add: typeof addGradients; cast: typeof castGradient }): void {
  addGradients = functions.add;
  castGradient = functions.cast;
}

/** While a checkpoint runs again: nodes before the first of its own belong to others. Set by checkpoint.ts. */
export const boundary: { first: number } = { first: 0 };

/** What `backward` may be told. */
export interface BackwardOptions {
  /** The tensors whose gradients are wanted, any of the graph; default: every leaf that requires one. */
  readonly wrt?: readonly Tensor[];
  /** The gradient of the result itself, of its shape, f32 or f16; default 1, for a result of one element. */
  readonly grad?: Tensor;
  /** Keeps the graph for another `backward`. */
  readonly retainGraph?: boolean;
  /**
   * Told of every gradient of the result once, as soon as it is whole, while the others are still to be recorded or computed: so that it can be on its way
   * to other processes. The order follows from the program alone, and is the same wherever the same one runs. The gradient is the one of the result,
   * of its tensor's shape and dtype, and has to stay until `backward` returns; `gradient.dataTo` reads it without waiting for the rest. What it computes is
   * not recorded. Not in a function that is captured, whose later runs would tell nobody.
   */
  readonly onGradient?: (tensor: Tensor, gradient: Tensor) => void;
}

const OPTIONS: readonly string[] = ["wrt", "grad", "retainGraph", "onGradient"] satisfies (keyof BackwardOptions)[];

function checkSeed(y: Tensor, options: BackwardOptions): void {
  checkTensor("backward", "y", y);
  if (options !== null && typeof options === "object" && "createGraph" in options) {
    throw new ArgumentError(
      "backward: createGraph is not supported: gradients carry no graph, so they have no gradients",
    );
  }
  checkOptions("backward", options, OPTIONS);
  const { grad, wrt } = options;
  checkOptionalTensor("backward", "grad", grad);
  if (wrt !== undefined) checkTensors("backward", "wrt", wrt);
  checkFlag("backward", "retainGraph", options.retainGraph);
  if (options.onGradient !== undefined) {
    checkFunction("backward", "onGradient", options.onGradient);
    if (capturing.watcher)
      throw new Error(
        "backward: onGradient in a function that is captured would be told in its first run alone: leave one of the two out",
      );
  }
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
    if (!node.leaf && node.id < boundary.first) {
      throw new Error(
        `checkpoint: the function takes the result of ${node} from around it: pass it as an argument, so that its gradient is known`,
      );
    }
  }
}

/**
 * Gradients of `y` with respect to the leaves that require them (or to `wrt`), as a map from tensor to gradient, each a tensor of its
 * own and of that tensor's dtype. They are f32 until then: those of f16 tensors are added up in f32 and rounded once. Unless `retainGraph`
 * is set, the graph is given up as it is walked, and with it the results between the leaves and `y`: those that are still to be read have
 * to be `keep`-ed, or asked for by `wrt`.
 * @throws Error when `y` has no graph, or one that an earlier `backward` has given up, or holds more than one element and no `grad` is
 * given, and where `onGradient` is asynchronous, disposes of a gradient, or stands in a captured function; ShapeError, DTypeError when `grad` does not fit.
 */
export function backward(y: Tensor, options: BackwardOptions = {}): Map<Tensor, Tensor> {
  return walk(y, options);
}

/**
 * The same, for a checkpoint where there are `inputs`: those leaves stand for what it was given, and their gradients are handed on as they are, which
 * may be deferred. None is rounded then: those of f16 tensors stay f32.
 */
export function walk(y: Tensor, options: BackwardOptions, inputs?: readonly Tensor[]): Map<Tensor, Tensor> {
  const round = inputs === undefined;
  checkSeed(y, options);
  const { wrt, grad, retainGraph = false } = options;
  const start = y.edge!;
  const order = descending(start.node as Node);
  refuseEnded(y, order);
  // What it is deferred of need not be held until somebody reads it. Nobody reads what a checkpoint computes again.
  if (!inputs) y.value("backward").compute();
  return noGrad(() => {
    const gradients = new Gradients();
    const result = new Results();
    const rounds = (tensor: Tensor): boolean => round && tensor.dtype !== "f32";
    const asks = (leaf: Tensor): boolean => !wrt || wrt.includes(leaf);
    const telling = options.onGradient && new Telling(order, asks, options.onGradient);
    const give = ({ node, output }: Edge, gradient: Tensor): void => {
      const expected = (node as Node).outputs[output]!;
      if (telling?.told.has(node as Node)) {
        throw new Error(
          `checkpoint: the function reads ${describe(expected)} when it runs again, and did not the first time: it has to compute the same`,
        );
      }
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
    if (!retainGraph) {
      const wanted = new Set<Holder>([y, ...(wrt ?? [])].map(({ holder }) => holder));
      for (const node of order) node.spend(wanted);
    }
    // A checkpoint hands on what its own walk gives.
    const lots = round ? new GradientLots() : undefined;
    /** Gradients that are still to come, at most. */
    const awaited = new Map<Node, number>();
    for (const edge of order.flatMap(({ inputs }) => inputs)) {
      const node = edge.node as Node;
      awaited.set(node, (awaited.get(node) ?? 0) + 1);
      if (node.leaf && asks(node.leaf)) lots?.expect(node.leaf);
    }
    for (const { leaf } of telling?.besides ?? []) lots?.expect(leaf!);
    /** Makes what arrived at a leaf, all of it, its gradient. */
    const finish = (node: Node): void => {
      const leaf = node.leaf!;
      const dy = gradients.at(node);
      if (!dy) return;
      if (lots && telling?.besides.has(node)) gradients.place(node, lots);
      const own = rounds(leaf) ? castGradient(dy, leaf.dtype) : result.own(dy);
      if (own !== dy) gradients.replace(node, own);
      telling?.tell(leaf, own, node);
    };
    /** The place of a leaf, for a gradient that is all that it gets. */
    const place = (node: Node): Storage | undefined => {
      const leaf = node.reshaped ?? node;
      const whole = [node, leaf].every((each) => awaited.get(each) === 1 && !gradients.has(each));
      return whole && leaf.leaf && asks(leaf.leaf) ? lots?.lend(leaf.leaf) : undefined;
    };
    const computed = (node: Node, gradient: () => Tensor): Tensor => {
      destination.storage = place(node);
      try {
        return gradient();
      } finally {
        destination.storage = undefined;
      }
    };
    let done = 0;
    try {
      for (const node of order) {
        const leaves = node.inputs.map((edge) => edge.node as Node).filter(({ leaf }) => leaf && asks(leaf));
        const dys = node.leaf ? undefined : gradients.take(node);
        if (dys) {
          for (const tensor of new Set(wrt)) {
            const dy = tensor.edge?.node === node ? dys[tensor.edge.output] : undefined;
            if (!dy) continue;
            const own = rounds(tensor) ? castGradient(dy, tensor.dtype) : result.own(gradients.hold(dy));
            result.map.set(tensor, own);
            telling?.tell(tensor, own);
          }
          const { saved } = node;
          transientResult(() => {
            node.run!(
              dys,
              (edge, given) => {
                const gradient = typeof given === "function" ? computed(edge.node as Node, given) : given;
                give(edge, saved.includes(gradient) ? alias(gradient) : gradient);
              },
              saved,
              ({ node }) => place(node as Node),
            );
            return gradients.arrived();
          });
          gradients.settle(dys);
        }
        if (!retainGraph) node.end();
        node.drop();
        done++;
        for (const leaf of leaves) {
          const left = awaited.get(leaf)! - 1;
          awaited.set(leaf, left);
          if (lots && left === 0) gradients.place(leaf, lots);
          if (!inputs?.includes(leaf.leaf!)) gradients.compute(leaf);
        }
        for (const leaf of telling?.passed(node, leaves) ?? []) finish(leaf);
      }
      // What is left belongs to leaves, and to the parameters inside of checkpoints.
      const rest = [...gradients.entries()].map(([node]) => node);
      for (const { leaf } of rest) if (leaf && asks(leaf)) lots?.expect(leaf);
      for (const node of rest) {
        const { leaf } = node;
        const asked = leaf && asks(leaf) ? leaf : undefined;
        const told = telling?.told.has(node);
        if (asked && !told) {
          if (lots) gradients.place(node, lots);
          finish(node);
        }
        const [dy] = gradients.take(node)!;
        if (asked) result.map.set(asked, dy!);
        else gradients.settle([dy]);
      }
    } finally {
      for (const node of order.slice(done)) node.drop();
      lots?.end();
    }
    return result.map;
  });
}

/** What `backward` gives: a tensor that is the gradient of several stands there as one of its own for each. */
class Results {
  readonly map = new Map<Tensor, Tensor>();
  readonly #taken = new Set<Tensor>();

  /** A gradient as one that nobody else has. */
  own(gradient: Tensor): Tensor {
    if (this.#taken.has(gradient)) return alias(gradient);
    this.#taken.add(gradient);
    return gradient;
  }
}

/** Gradients on their way. One tensor may be the gradient of several; its memory goes back when the last has been used. */
class Gradients {
  readonly #byNode = new Map<Node, (Tensor | undefined)[]>();
  readonly #uses = new Map<Tensor, number>();
  /** What has come since `arrived` was asked. */
  #new: Tensor[] = [];

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
    const sum = known ? addGradients(known, gradient) : gradient;
    own[output] = this.hold(sum);
    this.#new.push(sum);
    if (known) this.#release(known);
  }

  /** The gradients that have come since this was asked last, parts of sums left out: nobody needs those any more. */
  arrived(): readonly Tensor[] {
    return this.#new.splice(0).filter((gradient) => this.#uses.get(gradient));
  }

  /** What has arrived at a leaf so far. */
  at(leaf: Node): Tensor | undefined {
    return this.#byNode.get(leaf)?.[0];
  }

  /** Puts another tensor in the place of what arrived at a leaf. */
  replace(leaf: Node, gradient: Tensor): void {
    const own = this.#byNode.get(leaf)!;
    const before = own[0]!;
    own[0] = this.hold(gradient);
    this.#release(before);
  }

  /** Whether anything arrived at a node. */
  has(node: Node): boolean {
    return this.#byNode.has(node);
  }

  /** Puts what arrived at a leaf in its place, unless it is the gradient of another as well. */
  place(node: Node, lots: GradientLots): void {
    const dy = this.#byNode.get(node)?.[0];
    if (dy && this.#uses.get(dy) === 1) lots.place(node.leaf!, dy);
  }

  /** Computes what arrived at a leaf, where that is deferred: nothing goes on with it for long, and what it reads would be held until then. */
  compute(node: Node): void {
    this.#byNode.get(node)?.[0]?.value("backward").compute();
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

  /** Gives back what has been used. */
  settle(used: readonly (Tensor | undefined)[]): void {
    for (const dy of used) if (dy) this.#release(dy);
  }

  #release(gradient: Tensor): void {
    const left = this.#uses.get(gradient)! - 1;
    this.#uses.set(gradient, left);
    if (left === 0) gradient.letGo();
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
