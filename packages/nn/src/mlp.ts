import { checkFunction, checkOptions, checkWhole, gelu, type Tensor } from "@deplsr/tensor";
import { checkInit } from "./arguments.ts";
import type { Init } from "./init.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";

/** Widths of an `Mlp`; `output` is `input` unless given. */
export interface MlpWidths {
  readonly input: number;
  readonly hidden: number;
  readonly output?: number;
}

/** Two linear layers with an activation between them (GELU unless given): `x (..., input)` → `(..., output)`. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly activation: (x: Tensor) => Tensor;

  constructor(widths: MlpWidths, activation: ((x: Tensor) => Tensor) | undefined, init: Init) {
    super();
    checkOptions("Mlp", widths, ["input", "hidden", "output"]);
    const { input, hidden, output = input } = widths;
    for (const [name, width] of Object.entries({ input, hidden, output })) checkWhole("Mlp", name, width, 1);
    if (activation !== undefined) checkFunction("Mlp", "activation", activation);
    checkInit("Mlp", init);
    this.fc1 = new Linear(input, hidden, {}, init);
    this.fc2 = new Linear(hidden, output, {}, init);
    this.activation = activation ?? gelu;
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.activation(this.fc1.forward(x)));
  }
}
