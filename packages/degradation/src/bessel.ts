/**
 * Bessel function of the first kind, order 1, to about 1e-15 absolute.
 *
 * The trapezoid rule on Bessel's integral `J1(x) = 1/2π ∫ cos(τ − x sin τ) dτ` over a whole period with n points gives exactly
 * `J1(x) + Σ J(1 ± n·m)(x)`, and the terms of the sum vanish faster than exponentially once n exceeds |x|.
 *
 * @see https://dlmf.nist.gov/10.9.E2
 */
export function besselJ1(x: number): number {
  const points = 2 * Math.ceil(Math.abs(x)) + 40;
  let sum = 0;
  for (let k = 0; k < points; k++) {
    const angle = (2 * Math.PI * k) / points;
    sum += Math.cos(angle - x * Math.sin(angle));
  }
  return sum / points;
}
