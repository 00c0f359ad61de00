import { checkTensor } from "../arguments.ts";
import { composed, record } from "../autograd.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError, describe } from "../errors.ts";
import { filled } from "../making.ts";
import { normalizeDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { widened } from "./floats.ts";
import { transpose } from "./view.ts";

/**
 * `exp(xᵢ) / Σⱼ exp(xⱼ)` along an axis, shifted by the maximum so that it does not overflow. Shape and dtype kept. Entries of −∞
 * get 0; a row that holds a NaN or +∞, or nothing but −∞, becomes NaN.
 * @throws DTypeError unless x is f32 or f16; ShapeError when there is no such axis.
 */
export function softmax(x: Tensor, dim: number): Tensor {
  return along("softmax", x, dim, false);
}

/** `xᵢ − log Σⱼ exp(xⱼ)` along an axis: the logarithm of `softmax`, without its underflow. Shape and dtype kept. */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return along("logSoftmax", x, dim, true);
}

function along(name: string, x: Tensor, dim: number, log: boolean): Tensor {
  checkTensor(name, "x", x);
  if (!isFloat(x.dtype)) throw new DTypeError(`${name}: takes f32 or f16, got x ${describe(x)}`);
  const axis = normalizeDim(name, dim, x.rank);
  if (axis >= x.rank - 1) return lastAxis(name, x, log);
  return composed(name, () => transpose(lastAxis(name, transpose(x, axis, -1), log), axis, -1));
}

function lastAxis(name: string, x: Tensor, log: boolean): Tensor {
  const { backend } = x.device;
  const cols = x.shape.at(-1) ?? 1;
  const rows = cols === 0 ? 0 : x.size / cols;
  const { device, shape, dtype } = x;
  const input = x.dense(name);
  const y = filled(device, shape, dtype, name, (out) => backend.softmax({ rows, cols, log, x: input, y: out }));
  return record(y, name, [
    x,
    [y],
    (dy, y) => {
      const operands = { y: widened(y).dense(name), dy: dy.dense(name) };
      return filled(device, shape, "f32", `${name}.grad`, (dx) =>
        backend.softmaxGrad({ rows, cols, log, ...operands, dx }),
      );
    },
  ]);
}
