import type { ValidationValue } from "./run-log.ts";

interface Best {
  readonly value: number;
  readonly step: number;
}

/** The best value of each metric of each data set, and its step. */
export type BestValues = Readonly<Record<string, Readonly<Record<string, Best>>>>;

/** What was measured, by metric. */
export type MeasuredValues = Readonly<Record<string, { readonly value: number; readonly lowerBetter: boolean }>>;

/** Keeps the best values of a training. */
export class Bests {
  readonly #best = new Map<string, Map<string, Best>>();

  constructor(known: BestValues = {}) {
    for (const [dataSet, metrics] of Object.entries(known)) {
      // JSON has no infinity, which PSNR gives for equal images.
      const best = Object.entries(metrics).map(
        ([name, { value, step }]) => [name, { value: value ?? Number.POSITIVE_INFINITY, step }] as const,
      );
      this.#best.set(dataSet, new Map(best));
    }
  }

  get all(): BestValues {
    return Object.fromEntries([...this.#best].map(([dataSet, best]) => [dataSet, Object.fromEntries(best)]));
  }

  /** Takes in what was measured after a step. Returns the metrics that are better than ever. */
  take(step: number, dataSet: string, metrics: MeasuredValues): string[] {
    const best = this.#best.get(dataSet) ?? new Map<string, Best>();
    this.#best.set(dataSet, best);
    return Object.entries(metrics).flatMap(([name, { value, lowerBetter }]) => {
      const known = best.get(name);
      if (known && !(lowerBetter ? value < known.value : value > known.value)) return [];
      best.set(name, { value, step });
      return [name];
    });
  }

  /** The same values beside the best ones. */
  beside(dataSet: string, metrics: MeasuredValues): Record<string, ValidationValue> {
    const best = this.#best.get(dataSet);
    return Object.fromEntries(
      Object.entries(metrics).map(([name, { value }]) => {
        const { value: top, step } = best!.get(name)!;
        return [name, { value, best: top, bestStep: step }];
      }),
    );
  }
}
