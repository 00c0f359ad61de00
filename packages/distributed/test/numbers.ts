/** Values that differ from rank to rank, the same in every process. */
import type { Numbers } from "../src/index.ts";

/** Types of the values. */
export type NumberType = "f32" | "f64" | "i32";

const ARRAYS = { f32: Float32Array, f64: Float64Array, i32: Int32Array } as const;

/** What a rank gives. */
export function numbersOf(type: NumberType, length: number, rank: number): Numbers {
  const values = Array.from({ length }, (_, i) => {
    const whole = ((i * 7919 + rank * 104_729) % 2003) - 1001;
    return type === "i32" ? whole : whole / 7;
  });
  return ARRAYS[type].from(values);
}

/** What becomes of the values of several ranks, by the definition. */
export function reduced(type: NumberType, reduction: "sum" | "max" | "min", rows: readonly Numbers[]): number[] {
  const columns = Array.from(rows[0]!, (_, i) => rows.map((row) => row[i]!));
  const values = columns.map((column) =>
    reduction === "sum" ? column.reduce((sum, value) => sum + value, 0) : Math[reduction](...column),
  );
  return Array.from(ARRAYS[type].from(values));
}
