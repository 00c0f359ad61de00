import { type Tensor, wrongArgument } from "@deplsr/tensor";
import { checkMode } from "./arguments.ts";
import { type FieldNames, inference, type Mode, Module } from "./module.ts";

/** What a sequence is made of: a module with one input and one output, or a plain function. */
export type Layer = (Module & { forward(x: Tensor, mode?: Mode): Tensor }) | ((x: Tensor) => Tensor);

/** Layers one after the other; functions take part in the numbering of the names, as PyTorch's activation modules do. */
export class Sequential extends Module {
  readonly layers: readonly Layer[];

  constructor(...layers: readonly Layer[]) {
    super();
    layers.forEach((layer, i) => {
      if (typeof layer !== "function" && !(layer instanceof Module && typeof layer.forward === "function")) {
        throw wrongArgument("Sequential", `layers[${i}]`, "a module with forward, or a function", layer);
      }
    });
    this.layers = layers;
  }

  override fieldNames(): FieldNames {
    return { layers: "" };
  }

  forward(x: Tensor, mode: Mode = inference): Tensor {
    checkMode("Sequential", mode);
    return this.layers.reduce(
      (value, layer) => (typeof layer === "function" ? layer(value) : layer.forward(value, mode)),
      x,
    );
  }
}

/** Gives back what it gets; stands where a network may have a layer or none. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x;
  }
}
