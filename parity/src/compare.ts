/** Comparing what was computed with what a fixture stores. */
import type { StoredTensor } from "@deplsr/tensor";
import type { Rule } from "./tolerance.ts";

/** Computed values on the host: row-major, a shape of their own. */
export interface HostValues {
  readonly shape: readonly number[];
  /** bigint for 64-bit integers that a number may not hold; they are compared exactly. */
  readonly data: ArrayLike<number> | BigInt64Array;
}

/** How far a computed tensor is from the stored one. */
export interface Comparison {
  readonly pass: boolean;
  /** Largest |a − b|. */
  readonly absolute: number;
  /**
   * `absolute` relative to what the rule's `rel` is relative to: max|b| and its constants, so that gradients which are zero but for
   * rounding are measured by the floor. Without `rel`: to max|b|; 0 where that is 0.
   */
  readonly relative: number;
  /** `absolute` relative to the bound of the rule; above 1 needs a `fraction`. Orders the tensors of a case. */
  readonly strain: number;
  /** What is wrong, when it does not pass. */
  readonly problem?: string;
}

/**
 * Compares one tensor under its rule (`tolerance.ts`). Shapes must be equal and results finite; integers without `level` must be equal.
 * `largestGradient` is the rule's G. A stored value that is itself not finite asks for the same value.
 */
export function compareValues(
  actual: HostValues,
  expected: StoredTensor,
  rule: Rule,
  largestGradient: number,
): Comparison {
  const { data } = actual;
  if (actual.shape.length !== expected.shape.length || actual.shape.some((size, i) => size !== expected.shape[i])) {
    return mismatch(`shape [${actual.shape.join(", ")}] instead of [${expected.shape.join(", ")}]`);
  }
  if (data instanceof BigInt64Array) return compareExactly(data, expected.toBigInt64());
  const stored = expected.toFloat64();
  if (data.length !== stored.length) return mismatch(`${data.length} values for ${stored.length}`);
  const largest = largestMagnitude(stored);
  let absolute = 0;
  let worst = 0;
  for (let i = 0; i < stored.length; i++) {
    const a = data[i]!;
    const b = stored[i]!;
    if (a === b || Object.is(a, b)) continue;
    if (!Number.isFinite(a) || !Number.isFinite(b)) return mismatch(`${a} at ${i} instead of ${b}`);
    const difference = Math.abs(a - b);
    if (difference > absolute) {
      absolute = difference;
      worst = i;
    }
  }
  const bound = isInteger(expected)
    ? 0
    : (rule.rel ?? 0) * largest + (rule.abs ?? 0) + (rule.floor ?? 0) * largestGradient;
  const limit = isInteger(expected) ? rule.level : rule.step;
  const scale = rule.rel && bound > 0 ? bound / rule.rel : largest;
  const numbers = { absolute, relative: scale === 0 ? 0 : absolute / scale, strain: absolute / bound || 0 };
  if (absolute <= bound) return { pass: true, ...numbers };
  const exceeding = countExceeding(data, stored, bound);
  const share = exceeding / stored.length;
  const allowed = isInteger(expected) && rule.level === undefined ? 0 : (rule.fraction ?? 0);
  if (share <= allowed && (limit === undefined || absolute <= limit)) return { pass: true, ...numbers };
  const problem = `${data[worst]!} at ${worst} instead of ${stored[worst]!}; ${exceeding} of ${stored.length} values differ too much`;
  return { pass: false, ...numbers, problem };
}

function compareExactly(data: BigInt64Array, stored: BigInt64Array): Comparison {
  if (data.length !== stored.length) return mismatch(`${data.length} values for ${stored.length}`);
  const wrong = data.findIndex((value, i) => value !== stored[i]);
  if (wrong >= 0) return mismatch(`${data[wrong]!} at ${wrong} instead of ${stored[wrong]!}`);
  return { pass: true, absolute: 0, relative: 0, strain: 0 };
}

/** The largest finite |value|; 0 for no values. */
export function largestMagnitude(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest && magnitude !== Number.POSITIVE_INFINITY) largest = magnitude;
  }
  return largest;
}

function countExceeding(data: ArrayLike<number>, stored: Float64Array, bound: number): number {
  let count = 0;
  for (let i = 0; i < stored.length; i++) if (Math.abs(data[i]! - stored[i]!) > bound) count++;
  return count;
}

function isInteger(tensor: StoredTensor): boolean {
  return !(tensor.dtype === "F64" || tensor.dtype === "F32" || tensor.dtype === "F16" || tensor.dtype === "BF16");
}

function mismatch(problem: string): Comparison {
  const infinite = Number.POSITIVE_INFINITY;
  return { pass: false, absolute: infinite, relative: infinite, strain: infinite, problem };
}
