import type { TensorMethods } from "./methods.ts";
import * as ops from "./ops/index.ts";
import { Tensor } from "./tensor.ts";

/** Each method with the op it calls; a name without a matching op does not compile. */
const methods: {
  readonly [Name in keyof TensorMethods<Tensor>]: (
    x: Tensor,
    ...args: Parameters<TensorMethods<Tensor>[Name]>
  ) => Tensor;
} = {
  add: ops.add,
  sub: ops.sub,
  mul: ops.mul,
  div: ops.div,
  pow: ops.pow,
  neg: ops.neg,
  abs: ops.abs,
  exp: ops.exp,
  log: ops.log,
  sqrt: ops.sqrt,
  square: ops.square,
  cast: ops.cast,
  sum: ops.sum,
  mean: ops.mean,
  amax: ops.amax,
  amin: ops.amin,
  matmul: ops.matmul,
  softmax: ops.softmax,
  reshape: ops.reshape,
  permute: ops.permute,
  transpose: ops.transpose,
  slice: ops.slice,
  narrow: ops.narrow,
  select: ops.select,
  expand: ops.expand,
  flatten: ops.flatten,
  squeeze: ops.squeeze,
  unsqueeze: ops.unsqueeze,
};

for (const [name, op] of Object.entries(methods) as [string, (x: Tensor, ...args: unknown[]) => Tensor][]) {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...args: unknown[]): Tensor {
      return op(this, ...args);
    },
    writable: true,
    configurable: true,
  });
}
