import { bernoulli, checkTensor, dropout, mul, type Rng, shown, type Tensor } from "@deplsr/tensor";
import { checkMode } from "./arguments.ts";
import { inference, type Mode, Module } from "./module.ts";

function generator(layer: string, mode: Mode): Rng {
  if (!mode.rng) throw new Error(`${layer}: training mode draws random numbers: pass { training: true, rng }`);
  return mode.rng;
}

function checkProbability(layer: string, p: number): number {
  if (typeof p !== "number" || !(p >= 0 && p < 1)) {
    throw new RangeError(`${layer}: probability ${shown(p)} is not in [0, 1)`);
  }
  return p;
}

/** Zeroes single values with probability `p` in training and scales the others by 1/(1 − p). Shape kept. */
export class Dropout extends Module {
  readonly p: number;

  constructor(p: number) {
    super();
    this.p = checkProbability("Dropout", p);
  }

  forward(x: Tensor, mode: Mode = inference): Tensor {
    checkTensor("Dropout", "x", x);
    checkMode("Dropout", mode);
    return mode.training && this.p > 0 ? dropout(x, { p: this.p, rng: generator("Dropout", mode) }) : x;
  }
}

/**
 * Stochastic depth: zeroes whole samples of a residual branch `x (b, ...)` with probability `p` in training and scales the
 * others by 1/(1 − p). Shape kept. @see https://arxiv.org/abs/1603.09382
 */
export class DropPath extends Module {
  readonly p: number;

  constructor(p: number) {
    super();
    this.p = checkProbability("DropPath", p);
  }

  forward(x: Tensor, mode: Mode = inference): Tensor {
    checkTensor("DropPath", "x", x);
    checkMode("DropPath", mode);
    if (!mode.training || this.p === 0) return x;
    const perSample = x.shape.map((size, axis) => (axis === 0 ? size : 1));
    const kept = bernoulli(x.device, perSample, 1 - this.p, generator("DropPath", mode));
    return mul(x, mul(kept, 1 / (1 - this.p)));
  }
}
