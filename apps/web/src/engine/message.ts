/** Errors as lines for people. */

/** The first line of what an error says. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split("\n", 1)[0]!;
}
