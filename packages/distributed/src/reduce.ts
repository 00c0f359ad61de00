/** How values of several processes become one, in the order of ranks. */
import type { Numbers, Reduction } from "./process-group.ts";

/** Rows one behind the other, one of each rank, become one. */
export function reduce(rows: Numbers, size: number, reduction: Reduction, result: Numbers): void {
  const { length } = result;
  for (let i = 0; i < length; i++) {
    let value = rows[i]!;
    for (let rank = 1; rank < size; rank++) {
      const next = rows[rank * length + i]!;
      if (reduction === "sum") value += next;
      // One that is no number stays.
      else if (Number.isNaN(next) || (reduction === "max" ? next > value : next < value)) value = next;
    }
    result[i] = value;
  }
}
