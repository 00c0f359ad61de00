/** What the command prints when it cannot go on: one line, and the exit code that goes with it. */

/** Something in the user's files, data or machine is wrong. The message says what, where and what to do; the command ends with exit code 1. */
export class UserError extends Error {
  override readonly name: string = "UserError";
}

/** A file could not be written: no space, no permission. Unlike a bad input it ends everything, because the next file would fare the same. */
export class WriteError extends UserError {}

/** The command line itself is wrong (unknown flag, missing argument). The command ends with exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/**
 * The message of anything thrown, as one line.
 *
 * @param error whatever was caught
 * @returns its message with line breaks and runs of blanks made single blanks, never empty
 */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, " ").trim() || "failed without a message: run again with DEPLSR_DEBUG=1 for the stack";
}

/** The exit code of an error: 2 for wrong usage, 1 for everything else. */
export function exitCode(error: unknown): 1 | 2 {
  return error instanceof UsageError ? 2 : 1;
}

/** The `code` of a Node system error (`ENOENT`, `ENOSPC` ...), or undefined for other values. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * The entry of `known` that is nearest to `word`, for "did you mean".
 *
 * @returns undefined when nothing is within a third of the word's length (at least 2 edits, but not the whole word)
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(word.length, Math.max(2, Math.floor(word.length / 3)) + 1);
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance: the fewest insertions, deletions and substitutions that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
