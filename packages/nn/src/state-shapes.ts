/** Names and shapes of the entries of a state dict. */
export type StateShapes = ReadonlyMap<string, readonly number[]>;

/** An entry that the state dicts of a network have. */
export interface ExpectedEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** What it is; only a `parameter`, the default, has to be there: a loader knows what to do without the rest. */
  readonly role?: string;
}

/**
 * Compares a state dict with what those of its network hold.
 *
 * @param model the network's name, for the message
 * @throws Error with one line that names the first entry of each kind of difference, and how many there are
 */
export function checkShapes(model: string, shapes: StateShapes, expected: Iterable<ExpectedEntry>): void {
  const rest = new Map(shapes);
  const missing: string[] = [];
  const mismatched: string[] = [];
  for (const { name, shape, role = "parameter" } of expected) {
    const found = rest.get(name);
    rest.delete(name);
    if (!found && role === "parameter") missing.push(`${name} ${list(shape)}`);
    if (found && list(found) !== list(shape)) mismatched.push(`${name} ${list(found)} (expected ${list(shape)})`);
  }
  const unexpected = Array.from(rest, ([name, shape]) => `${name} ${list(shape)}`);
  const kinds = { missing, unexpected, "of another shape": mismatched };
  const differences = Object.entries(kinds).flatMap(([kind, [first, ...others]]) =>
    first === undefined ? [] : [`${kind}: ${first}${others.length > 0 ? ` and ${others.length} more` : ""}`],
  );
  if (differences.length > 0) throw misfit(model, differences.join("; "));
}

/**
 * The length of an axis of an entry from which a network's sizes follow.
 *
 * @param model the network's name, for the message
 * @throws Error with one line when the entry is missing or has no such axis
 */
export function axisLength(model: string, shapes: StateShapes, name: string, axis: number): number {
  const shape = shapes.get(name);
  const length = shape?.[axis];
  if (length !== undefined) return length;
  throw misfit(model, shape ? `of another shape: ${name} ${list(shape)}` : `missing: ${name}`);
}

function misfit(model: string, problem: string): Error {
  return new Error(`${model}: the tensors do not fit together: ${problem}: give a whole, unchanged ${model}`);
}

function list(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
