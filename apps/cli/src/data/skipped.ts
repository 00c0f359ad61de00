/** Items of a data set that could not be used: left out, counted, and listed at the end. */
import type { Output } from "../output.ts";

/** An item that was left out, and why. */
export interface SkippedItem {
  readonly name: string;
  readonly reason: string;
}

/** So many of a run's items are named, the others counted. */
export const MOST_NAMED = 10;

/** Warns of items as they are left out: of the first ones by name, of the others once that they are counted. */
export function warnOfSkipped(output: Output, most: number = MOST_NAMED): (skipped: SkippedItem) => void {
  let count = 0;
  return ({ name, reason }) => {
    count++;
    if (count <= most) output.warn(`data: ${name} is left out: ${reason}`);
    if (count === most + 1) output.warn("data: more items are left out; they are counted at the end");
  };
}

/**
 * Lists what was left out.
 *
 * @param what it is, with its number: `3 of 20 photographs`
 * @param most so many are named, the others counted
 */
export function listSkipped(
  output: Output,
  skipped: readonly SkippedItem[],
  what: string,
  most: number = skipped.length,
): void {
  if (skipped.length === 0) return;
  output.warn(`left out ${what}:`);
  for (const { name, reason } of skipped.slice(0, most))
    output.warn(reason.includes(name) ? reason : `${name}: ${reason}`);
  if (skipped.length > most) output.warn(`and ${skipped.length - most} more`);
}
