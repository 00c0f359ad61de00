import { checkFlag, checkWhole, linear, type Tensor } from "@deplsr/tensor";
import { type OptionsAndInit, optionsAndInit } from "./arguments.ts";
import { kaimingUniform, uniform } from "./init.ts";
import { Module, parameter } from "./module.ts";

/** Affine map of the last axis: `x (..., in)` → `x·weightᵀ + bias (..., out)`. Starts uniform in ±1/√in, as PyTorch's. */
export class Linear extends Module {
  /** (out, in) */
  readonly weight: Tensor;
  /** (out) */
  readonly bias: Tensor | null;

  constructor(inFeatures: number, outFeatures: number, ...given: OptionsAndInit<{ readonly bias?: boolean }>) {
    super();
    const [options, init] = optionsAndInit("Linear", given, ["bias"]);
    checkWhole("Linear", "inFeatures", inFeatures, 0);
    checkWhole("Linear", "outFeatures", outFeatures, 0);
    checkFlag("Linear", "bias", options.bias);
    this.weight = parameter(kaimingUniform([outFeatures, inFeatures], init));
    this.bias =
      (options.bias ?? true)
        ? parameter(uniform([outFeatures], inFeatures > 0 ? 1 / Math.sqrt(inFeatures) : 0, init))
        : null;
  }

  forward(x: Tensor): Tensor {
    return this.bias ? linear(x, this.weight, this.bias) : linear(x, this.weight);
  }
}
