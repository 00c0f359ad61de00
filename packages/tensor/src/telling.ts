import type { Node } from "./autograd.ts";
import { describe, refuseAsync } from "./errors.ts";
import type { Tensor } from "./tensor.ts";

/** Tells of gradients as they are whole, each once. */
export class Telling {
  /** Leaves that were told of: nothing may arrive there any more. */
  readonly told = new Set<Node>();
  /** Leaves that checkpoints give gradients to. */
  readonly besides: ReadonlySet<Node>;
  /** Nodes that are still to pass of those that a leaf gets gradients from, a node that gives several counted as often. */
  readonly #awaited = new Map<Node, number>();
  readonly #asks: (leaf: Tensor) => boolean;
  readonly #take: (tensor: Tensor, gradient: Tensor) => void;

  constructor(
    order: readonly Node[],
    asks: (leaf: Tensor) => boolean,
    take: (tensor: Tensor, gradient: Tensor) => void,
  ) {
    this.#asks = asks;
    this.#take = take;
    this.besides = new Set(order.flatMap(({ besides }) => this.#wanted(besides)));
    for (const { inputs, besides } of order) {
      for (const leaf of this.#wanted([...inputs.map(({ node }) => node as Node), ...besides])) {
        this.#awaited.set(leaf, (this.#awaited.get(leaf) ?? 0) + 1);
      }
    }
  }

  #wanted(nodes: Iterable<Node>): Node[] {
    return [...nodes].filter(({ leaf }) => leaf && this.#asks(leaf));
  }

  /** The leaves that get nothing any more once a node has given what it has. @param inputs of it, those leaves that are asked for */
  passed({ besides }: Node, inputs: readonly Node[]): Node[] {
    return [...inputs, ...this.#wanted(besides)].filter((leaf) => {
      const left = this.#awaited.get(leaf)! - 1;
      this.#awaited.set(leaf, left);
      return left === 0;
    });
  }

  /** @throws Error where who is told spoils the gradient, or would go on later */
  tell(tensor: Tensor, gradient: Tensor, leaf?: Node): void {
    if (leaf) this.told.add(leaf);
    const told: unknown = this.#take(tensor, gradient);
    refuseAsync("backward", told);
    if (gradient.disposed) {
      throw new Error(`backward: onGradient disposed of the gradient of ${describe(tensor)}: it is part of the result`);
    }
  }
}
