/** Random numbers on the host, and the checks of what they are drawn from. */
import type { Rng } from "@deplsr/tensor";

/** Both ends of a uniform distribution. */
export type Range = readonly [low: number, high: number];

/** A number between the ends of a range. */
export function uniform(rng: Rng, [low, high]: Range): number {
  return low + (high - low) * rng.uniform();
}

/** One of some things, each with a probability of its own; these sum to 1. */
export function choose<Item>(rng: Rng, items: readonly Item[], probabilities: readonly number[]): Item {
  let rest = rng.uniform();
  for (let i = 0; i < items.length - 1; i++) {
    rest -= probabilities[i]!;
    if (rest < 0) return items[i]!;
  }
  return items.at(-1)!;
}

/** `count` different places of `size`, each as likely as the others (Fisher and Yates, as far as needed). */
export function differentPlaces(rng: Rng, count: number, size: number): number[] {
  const order = Array.from({ length: size }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const other = i + rng.integer(size - i);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return order.slice(0, count);
}

/** Refuses options in one line that says where, which and what is expected. */
export class OptionChecks {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  /** Ends that rise, between two bounds. */
  range(name: string, [low, high]: Range, least = 0, most = Number.POSITIVE_INFINITY): void {
    const bounds = most < Number.POSITIVE_INFINITY ? `between ${least} and ${most}` : `not below ${least}`;
    this.that(least <= low && low <= high && high <= most, name, [low, high], `rising and ${bounds}`);
  }

  /** Ends with a number between them. */
  around(name: string, [low, high]: Range, middle: number): void {
    this.that(0 < low && low <= middle && middle <= high, name, [low, high], `above 0, on both sides of ${middle}`);
  }

  /** JPEG quality factors. */
  quality(name: string, [low, high]: Range): void {
    this.that(0 < low && low <= high && high <= 99, name, [low, high], "rising, above 0 and not above 99");
  }

  probability(name: string, value: number): void {
    this.that(value >= 0 && value <= 1, name, value, "between 0 and 1");
  }

  /** Probabilities of `count` things. */
  shares(name: string, values: readonly number[], count: number): void {
    const total = values.reduce((sum, value) => sum + value, 0);
    const fit = values.length === count && count > 0 && values.every((value) => value >= 0);
    this.that(fit && Math.abs(total - 1) < 1e-6, name, values, `${count} shares of 1`);
  }

  /** A whole number of at least `least`. */
  count(name: string, value: number, least = 1): void {
    this.that(Number.isInteger(value) && value >= least, name, value, `a whole number of at least ${least}`);
  }

  /** The side of a kernel. */
  odd(name: string, value: number, least: number): void {
    this.that(Number.isInteger(value) && value % 2 === 1 && value >= least, name, value, `odd and at least ${least}`);
  }

  /** @throws RangeError unless `holds`: `drawSemantic: noiseRange [5, 1] must be rising and not below 0` */
  that(holds: boolean, name: string, value: number | readonly number[], expected: string): void {
    const shown = typeof value === "number" ? value : `[${value.join(", ")}]`;
    if (!holds) throw new RangeError(`${this.#where}: ${name} ${shown} must be ${expected}`);
  }
}
