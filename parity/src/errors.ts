/** What the command prints when it cannot go on: one line, and the exit code that goes with it. */

/** The folder or the machine is not what it should be: exit code 1. */
export class UserError extends Error {
  override readonly name: string = "UserError";
}

/** The command line is not understood: exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** The message of anything thrown, as one line. */
export function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
}
