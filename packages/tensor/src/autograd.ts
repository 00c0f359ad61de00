import { checkFunction, checkTensor } from "./arguments.ts";
import type { Storage } from "./backend.ts";
import { type DType, isFloat } from "./dtype.ts";
import { DTypeError, describe, refuseAsync } from "./errors.ts";
import { isDense } from "./layout.ts";
import { alias } from "./making.ts";
import { transientResult } from "./scope.ts";
import type { Shape } from "./shape.ts";
import { type Edge, type GraphNode, type Holder, naming, type Tensor } from "./tensor.ts";

let enabled = true;
let nextId = 1;
/** While a checkpoint runs without a graph: where the gradients of what it computes go. */
let watched: Set<Node> | undefined;
/** Nowhere besides. */
const NOTHING: ReadonlySet<Node> = new Set();
/** A gradient, or what computes it, which tells where it goes before it is there. */
type Given = Tensor | (() => Tensor);
/** Hands a gradient on to where it goes. All are f32 on their way, those of f16 tensors too. */
export type Give = (edge: Edge, gradient: Given) => void;

/** Where the gradient of an input, if it is computed in one piece, is best computed. */
type Place<Input> = (input: Input) => Storage | undefined;

/**
 * Turns the gradients of a node's outputs (undefined where none arrived) into those of its inputs, which `give` takes. `saved` are what was
 * asked to be saved, with the values that they had.
 */
type Run = (dys: readonly (Tensor | undefined)[], give: Give, saved: readonly Tensor[], place: Place<Edge>) => void;

/** An op that was recorded, or a leaf. Tensors, and the nodes after it, hold it; when they let go it lets go of what it saved. */
export class Node implements GraphNode {
  /** Grows with every recorded op, so that descending order is an order for the backward pass; 0 for leaves. */
  readonly id: number;
  readonly name: string;
  readonly leaf: Tensor | undefined;
  /** The leaf that its only result is a reshaped view of, so that what is computed for one lies as it does for the other. */
  readonly reshaped: Node | undefined;
  readonly outputs: readonly { readonly shape: Shape; readonly dtype: DType; readonly holder: Holder }[];
  inputs: readonly Edge[];
  saved: readonly Tensor[];
  run: Run | undefined;
  /** Leaves that its gradients may go to besides those of its inputs: the parameters in a checkpoint. */
  readonly besides: ReadonlySet<Node>;
  endedBy: "backward" | "scope" = "backward";
  #holders = 0;

  constructor(
    name: string,
    outputs: readonly Tensor[],
    inputs: readonly Edge[],
    saved: readonly Tensor[],
    run?: Run,
    besides: ReadonlySet<Node> = NOTHING,
  ) {
    this.id = run ? nextId++ : 0;
    this.name = name;
    this.leaf = run ? undefined : outputs[0]!;
    this.outputs = outputs.map(({ shape, dtype, holder }) => ({ shape, dtype, holder }));
    this.reshaped = reshapedLeaf(outputs, inputs);
    this.inputs = inputs;
    this.saved = saved;
    this.run = run;
    this.besides = besides;
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

  /** Gives its results back, but those that are `keep`-ed or among `wanted`: gradients have what they need besides. */
  spend(wanted: ReadonlySet<Holder>): void {
    if (this.leaf) return;
    for (const { holder } of this.outputs) {
      const { value } = holder;
      if (!value || holder.kept || wanted.has(holder)) continue;
      holder.value = undefined;
      holder.spent = true;
      value.release();
    }
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
      for (const tensor of saved) tensor.letGo();
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

function reshapedLeaf([y, ...others]: readonly Tensor[], [input, ...rest]: readonly Edge[]): Node | undefined {
  const leaf = input?.node.leaf;
  if (!y || !leaf || others.length + rest.length > 0 || y.size !== leaf.size) return undefined;
  const [to, from] = [y, leaf].map(({ holder }) => holder.value?.state);
  if (to?.kind !== "stored" || from?.kind !== "stored" || to.storage !== from.storage) return undefined;
  return isDense(to.layout) && isDense(from.layout) ? (input.node as Node) : undefined;
}

/**
 * One input of an op, what of the forward pass its gradient needs, and the function that turns the result's gradient into this input's. What
 * is needed is passed to the function with the values of now, whatever is written or disposed of later: a gradient function takes no
 * tensor from around it, only shapes and numbers. Gradients come and go as f32, whatever the tensors are.
 */
export type GradPair =
  | readonly [input: Tensor, gradient: (dy: Tensor) => Tensor]
  | readonly [input: Tensor, needs: readonly Tensor[], gradient: (dy: Tensor, ...saved: Tensor[]) => Tensor];

/** Whether `record` has anything to do with an op of these inputs: what only it needs is not made else. */
export function recorded(inputs: readonly Tensor[]): boolean {
  return (enabled || watched !== undefined) && inputs.some((input) => input.requiresGrad);
}

/** Enters an op in the graph: only inputs that need a gradient are kept, so frozen weights cost nothing. Returns `y`. */
export function record(y: Tensor, name: string, ...pairs: readonly GradPair[]): Tensor {
  // No graph, and nobody to tell of it.
  if (!enabled && !watched) return y;
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
      give(i, () => gradient(dy!, ...places[i]!.map((place) => saved[place]!)));
    });
  });
  return y;
}

/** The gradients of several inputs, from those of the results. */
type Gradients = (
  dys: readonly (Tensor | undefined)[],
  give: (input: number | Tensor, gradient: Given) => void,
  saved: readonly Tensor[],
  place: Place<number>,
) => void;

/**
 * The general form of `record`: several results, or gradients that are computed together. `give` names inputs by their places; a leaf that
 * is no input by itself. `place` tells where the gradient of an input is best computed, for what computes several at once.
 */
export function recordTogether(
  ys: readonly Tensor[],
  name: string,
  inputs: readonly Tensor[],
  needs: readonly Tensor[],
  gradients: Gradients,
): void {
  // As of `record`: where none wants a gradient the results have no graph.
  if (inputs.some((input) => input.requiresGrad)) recordAnyway(ys, name, inputs, needs, gradients);
}

/** The same for what gives gradients to leaves that are no inputs, `besides`. */
export function recordAnyway(
  ys: readonly Tensor[],
  name: string,
  inputs: readonly Tensor[],
  needs: readonly Tensor[],
  gradients: Gradients,
  besides?: ReadonlySet<Node>,
): void {
  if (!enabled) {
    for (const { edge } of inputs) if (edge) watched?.add(edge.node as Node);
    return;
  }
  const edges = inputs.map((input) => input.edge);
  const saved = needs.map((tensor) => alias(tensor, naming.op ?? name));
  for (const tensor of saved) {
    tensor.saved = true;
    tensor.value(name).saved = true;
  }
  new Node(
    naming.op ?? name,
    ys,
    edges.filter((edge) => edge !== undefined),
    saved,
    (dys, give, own, place) => {
      gradients(
        dys,
        (input, gradient) => {
          const edge = typeof input === "number" ? edges[input] : input.edge;
          if (edge) give(edge, gradient);
        },
        own,
        (input) => edges[input] && place(edges[input]),
      );
    },
    besides,
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

/** The same for an op that makes more than its result: that is given back, but for what gradients need. */
export function composed<T>(op: string, work: () => T): T {
  return naming.op === undefined ? within(op, () => transientResult(work)) : work();
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
  checkFunction("noGrad", "work", work);
  return refuseAsync("noGrad", recording(false, work));
}

/** Runs `work` with ops recorded, or not. */
export function recording<T>(on: boolean, work: () => T): T {
  const before = enabled;
  enabled = on;
  try {
    return work();
  } finally {
    enabled = before;
  }
}

/**
 * Tells where the gradients go of what `work` computes without recording it, and of what `work` notes itself; nowhere where nothing wants one. Who watches
 * around it is told as well.
 */
export function watching<T>(work: (note: (x: Tensor) => void) => T): readonly [result: T, nodes: ReadonlySet<Node>] {
  const outside = watched;
  const own = new Set<Node>();
  watched = own;
  try {
    const result = work(({ edge }) => edge && own.add(edge.node as Node));
    return [result, own];
  } finally {
    watched = outside;
    for (const node of own) outside?.add(node);
  }
}

/** The id of the next node that is recorded: those of all that are there are below it. */
export function nextNodeId(): number {
  return nextId;
}

/**
 * Marks a parameter: `backward` gives its gradient. Returns the same tensor; the result of a recorded op stays what it is.
 * @throws DTypeError for whole numbers, which have no gradients
 */
export function requireGrad<T extends Tensor>(x: T): T {
  checkTensor("requireGrad", "x", x);
  if (!isFloat(x.dtype))
    throw new DTypeError(`requireGrad: ${describe(x)} holds no floats: only f32 and f16 have gradients`);
  if (x.disposed) x.value("requireGrad");
  if (!x.edge) new Node(x.label, [x], [], []);
  return x;
}

/** Takes the mark of `requireGrad` away. @throws Error for the result of a recorded op: `detach` it */
export function freeze<T extends Tensor>(x: T): T {
  checkTensor("freeze", "x", x);
  if (x.hasGraph) throw new Error(`freeze: ${describe(x)} (made by \`${x.label}\`) is no leaf: detach(x) has no graph`);
  x.leaveGraph();
  return x;
}

/** The same value without its graph. */
export function detach(x: Tensor): Tensor {
  checkTensor("detach", "x", x);
  return x.requiresGrad ? alias(x) : x;
}
