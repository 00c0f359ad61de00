import { batchNorm, checkNumber, checkTensor, checkWhole, layerNorm, recomputing, type Tensor } from "@deplsr/tensor";
import { checkMode, type OptionsAndInit, optionsAndInit } from "./arguments.ts";
import { buffer, inference, type Mode, Module, parameter } from "./module.ts";

/** Layer normalisation over the last axis, biased variance. @see https://arxiv.org/abs/1607.06450 */
export class LayerNorm extends Module {
  /** (c), 1 at the start */
  readonly weight: Tensor;
  /** (c), 0 at the start */
  readonly bias: Tensor;
  readonly eps: number;

  constructor(dim: number, ...given: OptionsAndInit<{ readonly eps?: number }>) {
    super();
    const [{ eps = 1e-5 }, init] = optionsAndInit("LayerNorm", given, ["eps"]);
    checkWhole("LayerNorm", "dim", dim, 0);
    checkNumber("LayerNorm", "eps", eps, 0);
    this.weight = parameter(init.device.ones([dim]));
    this.bias = parameter(init.device.zeros([dim]));
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
}

/**
 * Batch normalisation of `x (b, c, h, w)` per channel. In training mode with the batch's biased variance, and the running
 * statistics move by `momentum` towards the batch's mean and unbiased variance; else with the running statistics.
 *
 * @see https://arxiv.org/abs/1502.03167
 */
export class BatchNorm2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  readonly numBatchesTracked: Tensor;
  readonly eps: number;
  readonly momentum: number;

  constructor(channels: number, ...given: OptionsAndInit<{ readonly eps?: number; readonly momentum?: number }>) {
    super();
    const [options, init] = optionsAndInit("BatchNorm2d", given, ["eps", "momentum"]);
    const { eps = 1e-5, momentum = 0.1 } = options;
    checkWhole("BatchNorm2d", "channels", channels, 1);
    checkNumber("BatchNorm2d", "eps", eps, 0);
    checkNumber("BatchNorm2d", "momentum", momentum, 0, 1);
    this.weight = parameter(init.device.ones([channels]));
    this.bias = parameter(init.device.zeros([channels]));
    this.runningMean = buffer(init.device.zeros([channels]));
    this.runningVar = buffer(init.device.ones([channels]));
    this.numBatchesTracked = buffer(init.device.zeros([], { dtype: "i32" }));
    this.eps = eps;
    this.momentum = momentum;
  }

  /** @throws RangeError in training mode when a channel has a single value, whose variance is undefined. */
  forward(x: Tensor, mode: Mode = inference): Tensor {
    checkTensor("BatchNorm2d", "x", x);
    checkMode("BatchNorm2d", mode);
    const affine = { weight: this.weight, bias: this.bias, eps: this.eps };
    if (!mode.training) {
      return batchNorm(x, { ...affine, mean: this.runningMean, variance: this.runningVar }).y;
    }
    const count = x.size / this.weight.size;
    if (count < 2) {
      throw new RangeError(
        `BatchNorm2d: training needs more than one value for each channel, got x [${x.shape.join(", ")}]: use a larger batch`,
      );
    }
    const running = {
      ...{ mean: this.runningMean, variance: this.runningVar, count: this.numBatchesTracked },
      momentum: this.momentum,
    };
    // A checkpoint that runs again has moved them before.
    return batchNorm(x, recomputing() ? affine : { ...affine, running }).y;
  }
}
