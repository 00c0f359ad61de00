/**
 * Puts other values in the place of those that are assumed of a network because the shapes of its tensors do not tell them.
 *
 * @param model the network's name, for messages
 * @param assumed every name with what is assumed, which also says what kind of value it has; null stands for a number or null
 * @param given other values, of some names
 * @throws Error with one line for a name that is not there, or a value of another kind
 */
export function assume<T extends object>(model: string, assumed: T, given: Partial<T>): T {
  const kinds = new Map<string, unknown>(Object.entries(assumed));
  for (const [name, value] of Object.entries(given)) {
    const like = kinds.get(name);
    if (like === undefined) {
      throw new Error(`${model}: nothing is assumed of ${name}: known are ${[...kinds.keys()].join(", ")}`);
    }
    const [fits, expected] = kindOf(like);
    if (!fits(value)) throw new Error(`${model}: ${name}: expected ${expected}, got ${JSON.stringify(value)}`);
  }
  return { ...assumed, ...given };
}

/** What values like this one are: a check and its name. */
function kindOf(like: unknown): [fits: (value: unknown) => boolean, name: string] {
  if (like === null) return [(value) => value === null || Number.isFinite(value), "a number or null"];
  if (typeof like === "boolean") return [(value) => typeof value === "boolean", "true or false"];
  if (typeof like === "string") return [(value) => typeof value === "string", "a text"];
  if (!Array.isArray(like)) return [Number.isFinite, "a number"];
  const { length } = like;
  const fits = (value: unknown): boolean =>
    Array.isArray(value) && value.length === length && value.every(Number.isFinite);
  return [fits, `${length} numbers`];
}
