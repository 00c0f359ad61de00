import { checkFlag, checkPair, checkWhole, conv2d, type Tensor } from "@deplsr/tensor";
import { type OptionsAndInit, optionsAndInit } from "./arguments.ts";
import { fans, kaimingUniform, uniform } from "./init.ts";
import { Module, parameter } from "./module.ts";

/** A size that is the same for both axes, or (height, width). */
export type Size2d = number | readonly [number, number];

/** Defaults: stride 1, padding 0 (zeros on both sides), dilation 1, groups 1, with bias. */
export interface Conv2dOptions {
  readonly stride?: Size2d;
  readonly padding?: Size2d;
  readonly dilation?: Size2d;
  readonly groups?: number;
  readonly bias?: boolean;
}

/** Cross-correlation `x (b, in, h, w)` → `(b, out, h', w')`. Starts uniform in ±1/√fanIn, as PyTorch's. */
export class Conv2d extends Module {
  /** (out, in / groups, kernel height, kernel width) */
  readonly weight: Tensor;
  /** (out) */
  readonly bias: Tensor | null;
  readonly options: {
    readonly stride: Size2d;
    readonly padding: Size2d;
    readonly dilation: Size2d;
    readonly groups: number;
  };

  constructor(inChannels: number, outChannels: number, kernel: Size2d, ...given: OptionsAndInit<Conv2dOptions>) {
    super();
    const [options, init] = optionsAndInit("Conv2d", given, ["stride", "padding", "dilation", "groups", "bias"]);
    const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true } = options;
    checkWhole("Conv2d", "inChannels", inChannels, 1);
    checkWhole("Conv2d", "outChannels", outChannels, 1);
    const [height, width] = checkPair("Conv2d", "kernel", kernel, 1);
    checkPair("Conv2d", "stride", stride, 1);
    checkPair("Conv2d", "padding", padding, 0);
    checkPair("Conv2d", "dilation", dilation, 1);
    checkWhole("Conv2d", "groups", groups, 1);
    checkFlag("Conv2d", "bias", bias);
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(
        `Conv2d: groups ${groups} must divide the channels, in ${inChannels} and out ${outChannels}`,
      );
    }
    const shape = [outChannels, inChannels / groups, height, width];
    this.weight = parameter(kaimingUniform(shape, init));
    this.bias = bias ? parameter(uniform([outChannels], 1 / Math.sqrt(fans(shape).fanIn), init)) : null;
    this.options = { stride, padding, dilation, groups };
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias ? { ...this.options, bias: this.bias } : this.options);
  }
}
