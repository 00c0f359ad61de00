/** The middle of some numbers; of an even count, the mean of the two in the middle. @throws RangeError when there are none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("median: no numbers");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How far the farthest number is from the median, as a fraction of the median: 0.05 is ±5%. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return Math.max(...values.map((value) => Math.abs(value - middle))) / middle;
}

/** How many times as fast as the fastest peer ours is; below 1 a peer wins. `null` where there is no peer or ours failed. */
export function ratio(ours: number | null, peers: Readonly<Record<string, number>>): number | null {
  const times = Object.values(peers);
  return ours === null || times.length === 0 ? null : Math.min(...times) / ours;
}

/** What a sample of a cell is made of. */
export interface Batch {
  /** Runs to a wait. */
  readonly count: number;
  /** Waits to a sample. */
  readonly repeats: number;
}

/**
 * How to fill a sample of `target` ms: with one wait at its end, or with one after each run where that is quicker (some peers slow down
 * when they run ahead). At most 1000 runs wait together.
 *
 * @param together ms of a run among several that are waited for together.
 * @param single ms of a run that is waited for alone.
 */
export function chooseBatch(together: number, single: number, target: number): Batch {
  const fill = (ms: number): number => Math.max(1, Math.round(target / ms));
  if (single < 0.95 * together) return { count: 1, repeats: fill(single) };
  const count = Math.min(1000, fill(together));
  return { count, repeats: fill(together * count) };
}

/** The order of a round: each starts with another contender, so that none always follows the same one. */
export function rotate<T>(items: readonly T[], round: number): T[] {
  const start = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

/** The largest error, as a fraction of the largest number of `expected`; Infinity for another length or a NaN. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference < Number.POSITIVE_INFINITY)) return Number.POSITIVE_INFINITY;
    error = Math.max(error, difference);
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return error === 0 ? 0 : error / largest;
}
