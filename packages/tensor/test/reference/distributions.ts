/** Probabilities of 0 … `last` under a Poisson distribution, from its definition by logarithms. */
export function poissonProbabilities(rate: number, last: number): number[] {
  let log = -rate;
  return Array.from({ length: last + 1 }, (_, k) => {
    if (k > 0) log += Math.log(rate / k);
    return Math.exp(log);
  });
}

/**
 * Pearson's statistic of whole-number draws against probabilities, in units that do not depend on the number of cells: about
 * standard normal when the draws follow them (Wilson and Hilferty's transformation). Cells are joined until each expects 20.
 */
export function goodnessOfFit(draws: ArrayLike<number>, probabilities: readonly number[]): number {
  const counts = new Map<number, number>();
  for (let i = 0; i < draws.length; i++) counts.set(draws[i]!, (counts.get(draws[i]!) ?? 0) + 1);
  let [statistic, cells] = [0, 0];
  let [observed, expected] = [0, 0];
  let [seen, covered] = [0, 0];
  const close = (): void => {
    statistic += (observed - expected) ** 2 / expected;
    cells++;
    [observed, expected] = [0, 0];
  };
  probabilities.forEach((p, k) => {
    observed += counts.get(k) ?? 0;
    expected += p * draws.length;
    seen += counts.get(k) ?? 0;
    covered += p * draws.length;
    if (expected >= 20 && draws.length - covered >= 20) close();
  });
  // Everything else, values that should not occur at all included, is one last cell.
  observed += draws.length - seen;
  expected += draws.length - covered;
  close();
  const freedom = cells - 1;
  const variance = 2 / (9 * freedom);
  return (Math.cbrt(statistic / freedom) - (1 - variance)) / Math.sqrt(variance);
}

/** Mean, variance and the correlation of neighbours. */
export function moments(draws: ArrayLike<number>): { mean: number; variance: number; neighbours: number } {
  const n = draws.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += draws[i]! / n;
  let [variance, neighbours] = [0, 0];
  for (let i = 0; i < n; i++) {
    variance += (draws[i]! - mean) ** 2 / n;
    if (i > 0) neighbours += ((draws[i]! - mean) * (draws[i - 1]! - mean)) / (n - 1);
  }
  return { mean, variance, neighbours: neighbours / variance };
}
