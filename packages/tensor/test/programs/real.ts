import * as T from "../../src/index.ts";
import { hasAxis, isReal, type Maker, step } from "./draw.ts";
import { binary, SUMS, unary, where } from "./pointwise.ts";
import { isFull, matmul, sum } from "./reductions.ts";
import { type Shadow, total, zip } from "./shadow.ts";

/*
 * Ops on real numbers: smooth ones, so that a rounding error stays small.
 */

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const POINTWISE: readonly Maker[] = [
  unary(
    "tanh",
    T.tanh,
    (x) => Math.tanh(x!),
    (x) => 1 - Math.tanh(x!) ** 2,
    isReal,
  ),
  unary(
    "sigmoid",
    T.sigmoid,
    (x) => sigmoid(x!),
    (x) => sigmoid(x!) * (1 - sigmoid(x!)),
    isReal,
  ),
  unary(
    "sin",
    T.sin,
    (x) => Math.sin(x!),
    (x) => Math.cos(x!),
    isReal,
  ),
  unary(
    "scale",
    (x) => T.mul(x, 0.7),
    (x) => 0.7 * x!,
    () => 0.7,
    isReal,
  ),
  unary(
    "bell",
    (x) => T.exp(T.neg(T.square(x))),
    (x) => Math.exp(-x! * x!),
    (x) => -2 * x! * Math.exp(-x! * x!),
    isReal,
  ),
  unary(
    "root",
    (x) => T.sqrt(T.add(T.square(x), 1)),
    (x) => Math.sqrt(x! * x! + 1),
    (x) => x! / Math.sqrt(x! * x! + 1),
    isReal,
  ),
  unary(
    "log",
    (x) => T.log(T.add(T.square(x), 2)),
    (x) => Math.log(x! * x! + 2),
    (x) => (2 * x!) / (x! * x! + 2),
    isReal,
  ),
  ...[...SUMS, ...SUMS],
  binary(
    "ratio",
    (a, b) => T.div(a, T.add(T.square(b), 1)),
    (a, b) => a! / (b! * b! + 1),
    [(_, b) => 1 / (b! * b! + 1), (a, b) => (-2 * a! * b!) / (b! * b! + 1) ** 2],
    () => "f32",
    isReal,
  ),
  where,
];
const lastOf = (x: Shadow): number => x.shape.length - 1;
const minus = (x: Shadow, y: Shadow): Shadow => zip("f32", [x, y], (a, b) => a! - b!, [() => 1, () => -1]);
const divided = (x: Shadow, y: Shadow): Shadow =>
  zip("f32", [x, y], (a, b) => a! / b!, [(_, b) => 1 / b!, (a, b) => -a! / (b! * b!)]);
const averaged = (x: Shadow, axis: number): Shadow =>
  zip("f32", [total(x, [axis])], (v) => v! / x.shape[axis]!, [() => 1 / x.shape[axis]!]);

const mean: Maker = step(
  (x, pool) => {
    const dim = pool.random(x.shape.length);
    const options = { dim, keepDim: true };
    return { name: "mean", options: [options], run: (x) => T.mean(x, options), shadow: (x) => averaged(x, dim) };
  },
  (x) => isReal(x) && isFull(x),
);

const softmax: Maker = step(
  (x, pool) => {
    const dim = pool.chance(0.7) ? lastOf(x) : pool.random(x.shape.length);
    const exp = (v?: number): number => Math.exp(v!);
    return {
      name: "softmax",
      options: [dim],
      run: (x) => T.softmax(x, dim),
      shadow: (x) => {
        const e = zip("f32", [x], exp, [exp]);
        return divided(e, total(e, [dim]));
      },
    };
  },
  (x) => isReal(x) && hasAxis(x),
);

const layerNorm: Maker = step(
  () => ({
    name: "layerNorm",
    options: [{ eps: 1e-2 }],
    run: (x) => T.layerNorm(x, { eps: 1e-2 }),
    shadow: (x) => {
      const centred = minus(x, averaged(x, lastOf(x)));
      const squares = zip("f32", [centred], (v) => v! * v!, [(v) => 2 * v!]);
      const variance = averaged(squares, lastOf(x));
      const root = (v?: number): number => Math.sqrt(v! + 1e-2);
      return divided(centred, zip("f32", [variance], root, [(v) => 0.5 / root(v)]));
    },
  }),
  (x) => isReal(x) && isFull(x),
);

const ROWS: readonly Maker[] = [
  sum,
  mean,
  softmax,
  layerNorm,
  matmul((k) => 1 / Math.max(1, k)),
  matmul((k) => 1 / Math.max(1, k)),
];

export const REAL = { pointwise: POINTWISE, rows: ROWS };
