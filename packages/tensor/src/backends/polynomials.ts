/*
 * Minimax polynomials of the functions that the backends compute themselves, highest power first. Where no source is named they are those
 * of S. Moshier's Cephes.
 */

/** `(eʳ − 1 − r) / r²` on [−½ ln 2, ½ ln 2]. */
export const EXP: readonly number[] = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5,
];

/** `(log(1 + m) − m + ½ m²) / m³` for 1 + m in [√½, √2]. */
export const LOG: readonly number[] = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

/** `(tanh(x) / x − 1) / s` of s = x² below 0.625². */
export const TANH: readonly number[] = [
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
];

/** `erf(x) / x − 1` of x² below 1. A fit of our own. */
export const ERF_NEAR: readonly number[] = [
  -5.63142064e-4, 4.91755083e-3, -2.67113112e-2, 1.12801798e-1, -3.7612325e-1, 1.28379121e-1,
];

/** erf on [1, 3.92], where it has become 1, mapped to [−1, 1]. A fit of our own, which makes no use of exp: that would cost as much again. */
export const ERF_FAR: readonly number[] = [
  -8.55958497e-4, 1.6332973e-3, 2.27372092e-3, -9.09317564e-3, 8.0750687e-3, 6.53534802e-3, -2.87027527e-2,
  4.50944789e-2, -4.50047478e-2, 3.06016188e-2, -1.3931633e-2, 3.87804233e-3, 9.99496698e-1,
];

/** `(sin(r) / r − 1) / s` and `(cos(r) − 1 + ½ s) / s²` of s = r², |r| up to π/4. */
export const SINE: readonly number[] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
export const COSINE: readonly number[] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];
