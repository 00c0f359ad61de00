/**
 * Typed reading of a fixture's configuration. Every field that is read is remembered, and `finish` throws when one is left: a fixture
 * that asks for something unknown must fail, not pass by half.
 */
export class Attributes {
  readonly where: string;
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #unread: Set<string>;

  /** `where` names the object in messages, e.g. `config.conv1`. `note` and `seed` are always allowed and need no reading. */
  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Error(`${where} is not an object`);
    this.where = where;
    this.#fields = new Map(Object.entries(value));
    this.#unread = new Set(this.#fields.keys());
    for (const name of ["note", "seed"]) this.#unread.delete(name);
  }

  /** The names of all fields, in the order of the file. */
  names(): string[] {
    return [...this.#fields.keys()];
  }

  /** Whether the field is there and not null. Counts as reading it. */
  has(name: string): boolean {
    return this.raw(name) !== null;
  }

  /** The field as it stands; null when it is absent. */
  raw(name: string): unknown {
    this.#unread.delete(name);
    return this.#fields.get(name) ?? null;
  }

  /** Fields that only inform: left out or whatever they hold. */
  inform(...names: readonly string[]): void {
    for (const name of names) this.#unread.delete(name);
  }

  /** A field that names the only way there is: it may be left out, but not name another. */
  assume(name: string, ...known: readonly (string | number | boolean)[]): void {
    if (this.has(name) && !known.some((value) => value === this.raw(name))) this.#wrong(name, known.join(" or "));
  }

  number(name: string): number {
    const value = this.raw(name);
    return typeof value === "number" ? value : this.#wrong(name, "a number");
  }

  /** A number, or undefined where it is null or absent. */
  optionalNumber(name: string): number | undefined {
    return this.has(name) ? this.number(name) : undefined;
  }

  boolean(name: string): boolean {
    const value = this.raw(name);
    return typeof value === "boolean" ? value : this.#wrong(name, "true or false");
  }

  string(name: string): string {
    const value = this.raw(name);
    return typeof value === "string" ? value : this.#wrong(name, "a string");
  }

  /** One of the given words. */
  oneOf<const Word extends string>(name: string, words: readonly Word[]): Word {
    const value = this.raw(name);
    return words.find((word) => word === value) ?? this.#wrong(name, words.join(" or "));
  }

  strings(name: string): string[] {
    const value = this.raw(name);
    return Array.isArray(value) && value.every((item) => typeof item === "string")
      ? value
      : this.#wrong(name, "strings");
  }

  numbers(name: string): number[] {
    const value = this.raw(name);
    return Array.isArray(value) && value.every((item) => typeof item === "number")
      ? value
      : this.#wrong(name, "a list of numbers");
  }

  /** A list of exactly two numbers, e.g. [height, width]. */
  pair(name: string): [number, number] {
    const [a, b, ...rest] = this.numbers(name);
    return a !== undefined && b !== undefined && rest.length === 0 ? [a, b] : this.#wrong(name, "two numbers");
  }

  /** An object of its own, which must be finished as well. */
  object(name: string): Attributes {
    return new Attributes(this.raw(name), `${this.where}.${name}`);
  }

  /** A list of objects. */
  objects(name: string): Attributes[] {
    const value = this.raw(name);
    if (!Array.isArray(value)) return this.#wrong(name, "a list");
    return value.map((item, index) => new Attributes(item, `${this.where}.${name}[${index}]`));
  }

  /** Throws when a field has not been read. */
  finish(): void {
    if (this.#unread.size > 0) throw new Error(`${this.where}: ${[...this.#unread].join(", ")} not understood`);
  }

  #wrong(name: string, expected: string): never {
    throw new Error(`${this.where}.${name} is ${JSON.stringify(this.#fields.get(name)) ?? "missing"}, not ${expected}`);
  }
}
