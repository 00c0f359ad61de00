import type { FunctionBuilder } from "./builder.ts";
import { type F32x4, F64x2, type F64x2Term, f32x4, f64x2, type I32x4, i32x4, lanes } from "./values.ts";

/*
 * Functions of four floats at a time, good to about 2 ulp. A NaN stays one. Where no source is named the polynomials are those of
 * S. Moshier's Cephes (exp, log, tanh, sine, cosine).
 */

/** `c[0]·xⁿ + … + c[n]`. */
function polynomial(f: FunctionBuilder, x: F32x4, coefficients: readonly number[]): F32x4 {
  return coefficients.slice(1).reduce((sum, c) => f.fma(sum, x, c), f32x4(coefficients[0]!));
}

/** 2ⁿ for whole n in −126 … 127, and 0 for −127, from the exponent's bits. */
function powerOfTwo(n: I32x4): F32x4 {
  return n.shl(23).add(0x3f800000).float();
}

/**
 * 1.5 · 2²³, and the bias of exponents: added to a float below 2²², it rounds that to a whole number n, and n + 127 stands in the low
 * bits of the sum.
 */
const ROUNDER = 12582912 + 127;
const ROUNDER_BITS = 0x4b40007f;

/** eˣ = y · 2ⁿ with y around 1, for x of moderate size; `shifted` is n + ROUNDER. */
function expParts(f: FunctionBuilder, x: F32x4): { y: F32x4; shifted: F32x4 } {
  const shifted = f.let(f.fma(x, Math.LOG2E, ROUNDER));
  const n = f.let(shifted.sub(ROUNDER));
  const r = f.let(f.fma(n, 2.1219444e-4, f.fma(n, -0.693359375, x)));
  // In pairs: the operations that wait for each other are half as many as in Horner's scheme.
  const square = f.let(r.mul(r));
  const pair = (high: number, low: number): F32x4 => f.let(f.fma(r, high, low));
  const upper = f.fma(pair(1.98756915e-4, 1.3981999507e-3), square, pair(8.3334519073e-3, 4.1665795894e-2));
  const p = f.fma(f.let(upper), square, pair(1.6666665459e-1, 0.5));
  const y = f.fma(f.let(p), square, r).add(1);
  return { y: f.let(y), shifted };
}

/** eˣ; down to subnormal results. */
export function exp(f: FunctionBuilder, value: F32x4): F32x4 {
  const { y, shifted } = expParts(f, f.let(value.notBelow(-104).notAbove(89)));
  const n = f.let(shifted.bits().sub(ROUNDER_BITS));
  // In two steps: 2⁻¹⁵⁰ and 2¹²⁸ are no normal floats.
  const half = f.let(n.shrS(1));
  return f.let(y.mul(powerOfTwo(half)).mul(powerOfTwo(n.sub(half))));
}

/** eˣ for x ≤ 0 as a softmax needs it: 0 below the smallest normal float, since 2⁻¹²⁷ by its exponent's bits is 0. */
export function expNegative(f: FunctionBuilder, value: F32x4): F32x4 {
  const { y, shifted } = expParts(f, f.let(value.notBelow(-88)));
  return f.let(y.mul(shifted.bits().shl(23).float()));
}

/** Natural logarithm. */
export function log(f: FunctionBuilder, value: F32x4): F32x4 {
  const x = f.let(value);
  const tiny = f.let(x.lt(1.17549435e-38));
  const scaled = f.let(tiny.select(x.mul(8388608), x).bits());
  // Mantissa in [√½, √2): the exponent of x / √½.
  const shifted = f.let(scaled.sub(0x3f3504f3));
  const e = f.let(shifted.shrS(23).sub(tiny.and(23)).toF32());
  const m = f.let(shifted.and(0x7fffff).add(0x3f3504f3).float().sub(1));
  const s = f.let(m.mul(m));
  const p = polynomial(
    f,
    m,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  const small = f.let(f.fma(s, -0.5, f.fma(e, -2.1219444e-4, m.mul(s).mul(p))));
  const y = f.let(f.fma(e, 0.693359375, m.add(small)));
  const finite = x.gt(0).and(x.lt(Number.POSITIVE_INFINITY));
  // 0 gives −∞, negative numbers NaN; +∞ and NaN stay.
  const special = x.eq(0).select(f32x4(Number.NEGATIVE_INFINITY), x.lt(0).select(f32x4(Number.NaN), x));
  return f.let(finite.select(y, special));
}

/** Hyperbolic tangent. */
export function tanh(f: FunctionBuilder, value: F32x4): F32x4 {
  const x = f.let(value);
  const a = f.let(x.abs());
  const s = f.let(x.mul(x));
  const p = polynomial(
    f,
    s,
    [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
  );
  const near = f.fma(f.let(p.mul(s)), x, x);
  const e = expNegative(f, a.mul(-2));
  const far = f.let(f32x4(1).sub(e).div(e.add(1)));
  return f.let(a.lt(0.625).select(near, withSign(far, x)));
}

/** `1 / (1 + e⁻ˣ)`. */
export function sigmoid(f: FunctionBuilder, value: F32x4): F32x4 {
  return f.let(f32x4(1).div(exp(f, value.neg()).add(1)));
}

/** The size of `a` with the sign of `b`. */
function withSign(a: F32x4, b: F32x4): F32x4 {
  return a.bits().or(b.bits().and(0x80000000)).float();
}

/**
 * The error function: x + x·p(x²) below 1; above a polynomial of |x| on [1, 3.92], mapped to [−1, 1], at whose end it has become 1.
 * Both are minimax fits of our own. It makes no use of `exp`, which would cost as much again.
 */
export function erf(f: FunctionBuilder, value: F32x4): F32x4 {
  const x = f.let(value);
  const a = f.let(x.abs());
  const p = polynomial(
    f,
    f.let(x.mul(x)),
    [-5.63142064e-4, 4.91755083e-3, -2.67113112e-2, 1.12801798e-1, -3.7612325e-1, 1.28379121e-1],
  );
  const near = f.let(f.fma(f.let(p), x, x));
  const t = f.let(f.fma(a.notAbove(3.92), 2 / 2.92, -4.92 / 2.92));
  const far = polynomial(
    f,
    t,
    [
      -8.55958497e-4, 1.6332973e-3, 2.27372092e-3, -9.09317564e-3, 8.0750687e-3, 6.53534802e-3, -2.87027527e-2,
      4.50944789e-2, -4.50047478e-2, 3.06016188e-2, -1.3931633e-2, 3.87804233e-3, 9.99496698e-1,
    ],
  );
  return f.let(a.lt(1).select(near, withSign(f.let(far), x)));
}

/** π/2 in two parts, the first with 33 bits, so that its products with whole numbers below 2²⁰ are exact. */
const HALF_PI = [1.5707963267341256, 6.077100506506192e-11] as const;

/** Sine, or with `quarters` 1 cosine; the argument is reduced in double precision. */
function turn(f: FunctionBuilder, value: F32x4, quarters: number): F32x4 {
  const x = f.let(value);
  const reduce = (half: F64x2): { r: F32x4; j: I32x4 } => {
    const wide = f.let(half);
    const j = f.let(wide.mul(2 / Math.PI).nearest());
    return { r: f.let(wide.sub(j.mul(HALF_PI[0])).sub(j.mul(HALF_PI[1])).demote()), j: f.let(j.toI32()) };
  };
  const low = reduce(x.promoteLow());
  const high = reduce(x.shuffle(x, 2, 3, 2, 3).promoteLow());
  const r = f.let(low.r.shuffle(high.r, 0, 1, 4, 5));
  const j = f.let(low.j.shuffle(high.j, 0, 1, 4, 5).add(quarters));
  const s = f.let(r.mul(r));
  const sine = f.let(
    f.fma(polynomial(f, s, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]), f.let(s.mul(r)), r),
  );
  const p = polynomial(f, s, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
  const cosine = f.let(f.fma(f.let(p), s.mul(s), f.fma(s, -0.5, 1)));
  const y = f.let(j.and(1).eq(1).select(cosine, sine));
  return f.let(y.bits().xor(j.and(2).shl(30)).float());
}

export function sin(f: FunctionBuilder, x: F32x4): F32x4 {
  return turn(f, x, 0);
}

export function cos(f: FunctionBuilder, x: F32x4): F32x4 {
  return turn(f, x, 1);
}

/** `xʸ` for x of at least 0, in double precision: log₂ by the series of artanh, 2ᵗ by Taylor's. */
export function pow(f: FunctionBuilder, base: F32x4, exponent: F32x4): F32x4 {
  const x = f.let(base);
  const y = f.let(exponent);
  const half = (a: F32x4, b: F32x4): F32x4 => powHalf(f, f.let(a.promoteLow()), f.let(b.promoteLow()));
  const low = half(x, y);
  const high = half(x.shuffle(x, 2, 3, 2, 3), y.shuffle(y, 2, 3, 2, 3));
  const power = f.let(low.shuffle(high, 0, 1, 4, 5));
  // Of 0, ∞ and NaN: by hand. 0 and ∞ go to 0 or ∞ by the sign of y.
  const atZero = y.gt(0).select(f32x4(0), y.lt(0).select(f32x4(Number.POSITIVE_INFINITY), y));
  const atInfinity = y.gt(0).select(f32x4(Number.POSITIVE_INFINITY), y.lt(0).select(f32x4(0), y));
  const special = f.let(x.eq(0).select(atZero, x.eq(Number.POSITIVE_INFINITY).select(atInfinity, f32x4(Number.NaN))));
  const usual = x.gt(0).and(x.lt(Number.POSITIVE_INFINITY));
  return f.let(y.eq(0).select(f32x4(1), usual.select(power, special)));
}

function powHalf(f: FunctionBuilder, x: F64x2, y: F64x2): F32x4 {
  const horner = (z: F64x2, coefficients: readonly number[]): F64x2 =>
    coefficients.slice(1).reduce<F64x2>((sum, c) => sum.mul(z).add(c), f64x2(coefficients[0]! as F64x2Term));
  // The upper words of both doubles hold exponents; mantissa in [√½, √2).
  const words = f.let(x.bits());
  const shifted = f.let(words.sub(lanes(0, 0x3fe6a09e, 0, 0x3fe6a09e)));
  const exponent = f.let(shifted.shrS(20).shuffle(shifted, 1, 3, 1, 3));
  const upper = lanes(0, -1, 0, -1);
  const mantissa = shifted.and(0xfffff).add(0x3fe6a09e);
  const m = f.let(new F64x2(upper.select(mantissa, words).code));
  const s = f.let(m.sub(1).div(m.add(1)));
  const z = f.let(s.mul(s));
  const series = horner(z, [2 / 15, 2 / 13, 2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3, 2]);
  const logarithm = f.let(s.mul(series).mul(Math.LOG2E).add(exponent.toF64Low()));
  const t = f.let(y.mul(logarithm).max(-200).min(200));
  const n = f.let(t.nearest());
  const r = f.let(t.sub(n).mul(Math.LN2));
  const e = horner(r, [1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1, 1]);
  // 2ⁿ: the biased exponent in the upper word of each double.
  const biased = f.let(n.toI32().add(1023).shl(20));
  const scale = new F64x2(biased.shuffle(i32x4(0), 4, 0, 4, 1).code);
  return f.let(e.mul(scale).demote());
}

/** f16 bits in the lower half of each lane as floats. */
export function fromHalf(f: FunctionBuilder, bits: I32x4): F32x4 {
  const b = f.let(bits);
  const magnitude = f.let(b.and(0x7fff).shl(13));
  // Scaling by 2¹¹² moves the exponent and makes subnormals normal; exponent 31 is that of infinities and NaN.
  const scaled = magnitude
    .float()
    .mul(2 ** 112)
    .bits();
  const special = magnitude.geU(0x0f800000).and(0x7f800000);
  return f.let(scaled.or(special).or(b.and(0x8000).shl(16)).float());
}

/** The nearest f16 bits, ties to even, in the lower half of each lane. */
export function toHalf(f: FunctionBuilder, value: F32x4): I32x4 {
  const bits = f.let(value.bits());
  const a = f.let(bits.and(0x7fffffff));
  const odd = a.shrU(13).and(1);
  const normal = f.let(a.add(0xfff).add(odd).sub(0x38000000).shrU(13));
  // Subnormal: in units of 2⁻²⁴; adding 2²³ rounds an f32 to a whole number, ties to even.
  const subnormal = f.let(
    a
      .float()
      .mul(2 ** 24)
      .add(2 ** 23)
      .bits()
      .sub(0x4b000000),
  );
  const finite = f.let(a.ltU(0x38800000).select(subnormal, normal));
  const large = f.let(a.gtU(0x7f800000).select(i32x4(0x7e00), i32x4(0x7c00)));
  return f.let(a.geU(0x477ff000).select(large, finite).or(bits.shrU(16).and(0x8000)));
}
