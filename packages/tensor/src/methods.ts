import type { DType } from "./dtype.ts";
import type { Shape } from "./shape.ts";

interface Reduce {
  readonly dim?: number | readonly number[];
  readonly keepDim?: boolean;
}

type Axes = Reduce | number | readonly number[];

/** The ops that can be chained, `x.mul(2).add(y)`: a closed list. Each is the function of the same name in `ops/`. */
export interface TensorMethods<T> {
  add(other: T | number): T;
  sub(other: T | number): T;
  mul(other: T | number): T;
  div(other: T | number): T;
  pow(exponent: number): T;
  neg(): T;
  abs(): T;
  exp(): T;
  log(): T;
  sqrt(): T;
  square(): T;
  cast(dtype: DType): T;
  sum(options?: Axes, keepDim?: boolean): T;
  mean(options?: Axes, keepDim?: boolean): T;
  amax(options?: Axes, keepDim?: boolean): T;
  amin(options?: Axes, keepDim?: boolean): T;
  matmul(other: T): T;
  softmax(dim: number): T;
  reshape(shape: Shape): T;
  permute(dims: readonly number[]): T;
  transpose(dim0: number, dim1: number): T;
  slice(ranges: readonly (readonly [number, number, number?] | null)[]): T;
  narrow(dim: number, start: number, length: number): T;
  select(dim: number, index: number): T;
  expand(shape: Shape): T;
  flatten(startDim?: number, endDim?: number): T;
  squeeze(dim?: number): T;
  unsqueeze(dim: number): T;
}
