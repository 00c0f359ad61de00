/** What the numbers of a command line have to be, checked before anything else is done. */
import { UsageError } from "./errors.ts";

/** Photographs that are worked on at a time: Node reads and decodes them in at most so many threads. */
export const MOST_JOBS = 1024;

/**
 * Checks a flag that wants a whole number.
 *
 * @param value what was given; undefined, for nothing, passes
 * @throws UsageError when it is not whole or out of range, NaN included, which stands for what is no number at all
 */
export function checkWhole(flag: string, value: number | undefined, least: number, most?: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= (most ?? value))) return;
  const range = most === undefined ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new UsageError(`--${flag} ${value} must be a whole number ${range}`);
}
