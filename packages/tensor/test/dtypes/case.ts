import type { DType } from "../../src/dtype.ts";
import type { Tensor } from "../../src/tensor.ts";
import type { NdArray } from "../../src/testing.ts";
import { half, isFloat, isWhole, result, small, type Typed } from "./numbers.ts";

/** One call of an op, and what PyTorch gives for it, or that it is refused. */
export interface Case {
  readonly name: string;
  readonly inputs: readonly Typed[];
  readonly run: (...inputs: Tensor[]) => Tensor;
  readonly right: Typed | "refused";
  /** |a − b| ≤ abs + rel · |b|; default 0: equal. */
  readonly rel?: number;
  readonly abs?: number;
}

/** The calls that one op is tried with. */
export type Entry = () => readonly Case[];

/** What a float is computed to: f32 to a few of its last digits, f16 to one. */
export function near(dtype: DType): { readonly rel: number; readonly abs: number } {
  return dtype === "f16" ? { rel: 1.1e-3, abs: 6e-8 } : { rel: 2e-5, abs: 2e-6 };
}

/** A result in double precision, rounded to a dtype. */
export function typed({ shape, data }: NdArray, dtype: DType): Typed {
  return {
    dtype,
    shape,
    data: data.map((value) => (isFloat(dtype) ? (dtype === "f16" ? half(value) : value) : result(value, dtype))),
  };
}

const ALL: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];
const names = (inputs: readonly Typed[]): string => inputs.map(({ dtype }) => dtype).join(", ");

/** An op of real numbers: f32 and f16 as the reference has it, nothing else. All operands are of one dtype. */
export function floatsOnly(
  shapes: readonly (readonly number[])[],
  run: (...inputs: Tensor[]) => Tensor,
  reference: (...inputs: NdArray[]) => NdArray,
): Entry {
  return () => {
    const alike = ALL.map((dtype): Case => {
      const inputs = shapes.map((shape, i) => small(dtype, shape, i + 1));
      const right = isFloat(dtype) ? typed(reference(...inputs), dtype) : "refused";
      return { name: names(inputs), inputs, run, right, ...near(dtype) };
    });
    if (shapes.length < 2) return alike;
    const mixed = shapes.map((_, odd): Case => {
      const inputs = shapes.map((shape, i) => small(i === odd ? "f16" : "f32", shape, i + 1));
      return { name: names(inputs), inputs, run, right: "refused" };
    });
    return [...alike, ...mixed];
  };
}

/** An op that moves numbers without computing: any dtype, exactly. */
export function moves(shape: readonly number[], run: (x: Tensor) => Tensor, reference: (x: NdArray) => NdArray): Entry {
  return () =>
    ALL.map((dtype) => {
      const x = small(dtype, shape);
      return { name: dtype, inputs: [x], run, right: { dtype, ...reference(x) } };
    });
}

/** An op of one operand whose result type depends on it: undefined where it is refused. */
export function byDType(
  input: (dtype: DType) => Typed,
  run: (x: Tensor) => Tensor,
  resultOf: (dtype: DType) => DType | undefined,
  reference: (x: Typed) => NdArray,
  exact: (dtype: DType) => boolean = (dtype) => isWhole(dtype) || dtype === "bool",
): Entry {
  return () =>
    ALL.map((dtype) => {
      const x = input(dtype);
      const to = resultOf(dtype);
      if (!to) return { name: dtype, inputs: [x], run, right: "refused" };
      return { name: dtype, inputs: [x], run, right: typed(reference(x), to), ...(exact(to) ? {} : near(to)) };
    });
}
