import type { DType } from "../../src/dtype.ts";
import * as T from "../../src/index.ts";
import { reduceReference } from "../reference/arrays.ts";
import { byDType, type Entry } from "./case.ts";
import { isFloat, small } from "./numbers.ts";

type Values = readonly number[];
const total = (values: Values): number => values.reduce((a, b) => a + b, 0);
const average = (values: Values): number => total(values) / values.length;
const spread = (values: Values): number => total(values.map((x) => (x - average(values)) ** 2)) / (values.length - 1);
const first = (values: Values, best: number): number => values.indexOf(best);

/** A reduction of [3, 8] along its last axis, along its first and of all; long enough for vectors and for what is left. */
function reduction(
  run: (x: T.Tensor, options: { dim?: number }) => T.Tensor,
  f: (values: number[]) => number,
  types: (dtype: DType) => DType | undefined,
  all = true,
): Entry {
  const ways: readonly (number | undefined)[] = all ? [1, 0, undefined] : [1, 0];
  return () =>
    ways.flatMap((dim) =>
      byDType(
        (dtype) => small(dtype, [5, 7]),
        (x) => run(x, dim === undefined ? {} : { dim }),
        types,
        reduceReference(dim === undefined ? undefined : [dim], f),
      )().map((one) => ({ ...one, name: `${one.name} along ${dim ?? "all"}` })),
    );
}

const summed = (dtype: DType): DType => (dtype === "bool" ? "i32" : dtype);
const same = (dtype: DType): DType => dtype;
const real = (dtype: DType): DType => (isFloat(dtype) ? dtype : "f32");
/** The dtype of a result that only floats have. */
export const onlyFloats = (dtype: DType): DType | undefined => (isFloat(dtype) ? dtype : undefined);
const whole = (): DType => "i32";

/** Reductions, with every dtype. */
export const reductions: Readonly<Record<string, Entry>> = {
  sum: reduction(T.sum, total, summed),
  mean: reduction(T.mean, average, real),
  variance: reduction(T.variance, spread, onlyFloats),
  l2Norm: reduction(T.l2Norm, (values) => Math.hypot(...values), onlyFloats),
  logSumExp: reduction(T.logSumExp, (values) => Math.log(total(values.map(Math.exp))), real),
  amax: reduction(T.amax, (values) => Math.max(...values), same),
  amin: reduction(T.amin, (values) => Math.min(...values), same),
  argmax: reduction(T.argmax, (values) => first(values, Math.max(...values)), whole),
  max: reduction(
    (x, { dim }) => T.max(x, dim!).values,
    (values) => Math.max(...values),
    same,
    false,
  ),
  min: reduction(
    (x, { dim }) => T.min(x, dim!).values,
    (values) => Math.min(...values),
    same,
    false,
  ),
};
