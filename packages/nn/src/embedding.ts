import { checkWhole, embedding, type Tensor } from "@deplsr/tensor";
import { checkInit } from "./arguments.ts";
import { type Init, normal } from "./init.ts";
import { Module, parameter } from "./module.ts";

/** A table of vectors: `index (...) i32` → `(..., dim)`. Starts from a standard normal, as PyTorch's. */
export class Embedding extends Module {
  /** (count, dim) */
  readonly weight: Tensor;

  constructor(count: number, dim: number, init: Init) {
    super();
    checkWhole("Embedding", "count", count, 1);
    checkWhole("Embedding", "dim", dim, 1);
    checkInit("Embedding", init);
    this.weight = parameter(normal([count, dim], 1, init));
  }

  forward(index: Tensor): Tensor {
    return embedding(this.weight, index);
  }
}
