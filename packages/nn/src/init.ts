import {
  checkNumber,
  checkOptions,
  checkWholes,
  clamp,
  mul,
  rand,
  randn,
  type Shape,
  scope,
  sub,
  type Tensor,
} from "@deplsr/tensor";
import { checkInit, type Init } from "./arguments.ts";

export type { Init } from "./arguments.ts";

/** Uniform in [−bound, bound). */
export function uniform(shape: Shape, bound: number, init: Init): Tensor {
  checkInit("uniform", init);
  checkNumber("uniform", "bound", bound, 0);
  if (init.blank) return init.device.zeros(shape);
  return scope(() => sub(mul(rand(init.device, shape, init.rng), 2 * bound), bound));
}

/** Normal with mean 0 and standard deviation `std`. */
export function normal(shape: Shape, std: number, init: Init): Tensor {
  checkInit("normal", init);
  checkNumber("normal", "std", std, 0);
  if (init.blank) return init.device.zeros(shape);
  return scope(() => mul(randn(init.device, shape, init.rng), std));
}

/** Bounds of `truncNormal`, in the unit of the values (not in standard deviations). */
export interface Truncation {
  readonly min?: number;
  readonly max?: number;
}

/**
 * Normal with mean 0, drawn again outside [min, max] (defaults ±2, as timm's `trunc_normal_`, where with `std` 0.02 they
 * never matter).
 */
export function truncNormal(shape: Shape, std: number, init: Init, truncation: Truncation = {}): Tensor {
  checkWholes("truncNormal", "shape", shape, 0);
  checkNumber("truncNormal", "std", std, 0);
  checkInit("truncNormal", init);
  checkOptions("truncNormal", truncation, ["min", "max"]);
  const { min = -2, max = 2 } = truncation;
  if (!(min < max)) throw new RangeError(`truncNormal: min ${min} must be below max ${max}`);
  if (init.blank) return init.device.zeros(shape);
  // Beyond 6 deviations a draw has probability 2e-9: clamping cannot be told from drawing again.
  if (Math.min(-min, max) >= 6 * std) return scope(() => clamp(normal(shape, std, init), { min, max }));
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < values.length; i++) {
    do values[i] = std * init.rng.normal();
    while (values[i]! < min || values[i]! > max);
  }
  return init.device.tensor(values, shape);
}

/**
 * Kaiming uniform: bound = √(6 / ((1 + a²)·fanIn)) for a weight `(out, in, ...kernel)`. The default a = √5, a bound of
 * 1/√fanIn, is what PyTorch's Linear and Conv2d start from. @see https://arxiv.org/abs/1502.01852
 */
export function kaimingUniform(shape: Shape, init: Init, a: number = Math.sqrt(5)): Tensor {
  checkWholes("kaimingUniform", "shape", shape, 0);
  checkNumber("kaimingUniform", "a", a);
  checkInit("kaimingUniform", init);
  return uniform(shape, Math.sqrt(6 / ((1 + a * a) * fans(shape).fanIn)), init);
}

/** Xavier uniform: bound = √(6 / (fanIn + fanOut)). @see https://proceedings.mlr.press/v9/glorot10a.html */
export function xavierUniform(shape: Shape, init: Init): Tensor {
  checkWholes("xavierUniform", "shape", shape, 0);
  checkInit("xavierUniform", init);
  const { fanIn, fanOut } = fans(shape);
  return uniform(shape, Math.sqrt(6 / (fanIn + fanOut)), init);
}

/** Inputs and outputs of one unit of a weight `(out, in, ...kernel)`. */
export function fans(shape: Shape): { readonly fanIn: number; readonly fanOut: number } {
  checkWholes("fans", "shape", shape, 0);
  const [out = 1, input = 1, ...kernel] = shape;
  const area = kernel.reduce((product, size) => product * size, 1);
  return { fanIn: input * area, fanOut: out * area };
}
