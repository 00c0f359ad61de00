/** What stands on a command line has to fit: checked before anything else is done. */
import { UsageError, UserError } from "./errors.ts";
import { exists } from "./files.ts";

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

/** @throws UserError when something stands where a command would write, and `--overwrite` was not given */
export async function refuseExisting(command: string, path: string, overwrite: boolean): Promise<void> {
  if (!overwrite && (await exists(path)))
    throw new UserError(`${command}: ${path} exists: choose another name, or --overwrite to replace it`);
}
