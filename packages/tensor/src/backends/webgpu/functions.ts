import { COSINE, ERF_FAR, ERF_NEAR, EXP, LOG, SINE, TANH } from "../polynomials.ts";

/*
 * Functions of real numbers in WGSL, whose own are good to what a driver likes: it promises 3 + 2|x| ulp of exp, an error of 2^-21 of log
 * near 1 (which is every digit there), 2^-11 of sin, and nothing of NaN. These are within 4 ulp, and pow within 16, on any device that adds
 * and multiplies as it should and divides within 2.5 ulp. Results that are subnormal may be 0.
 *
 * `F`, `I`, `U` and `B` are aliases: scalars, or vectors of four. What is special about NaN, infinities and signs is decided on the bits,
 * since shader compilers may assume that there is no NaN. They may also regroup sums, and fuse a multiplication with an addition or not:
 * what has to be rounded by itself goes through `rounded`, which they cannot see through, or through `cut`.
 */

/** `c[0]·xⁿ + … + c[n]` in Horner's scheme, from the inside out. */
function polynomial(x: string, coefficients: readonly number[]): string {
  const number = (c: number): string => `F(${Math.fround(c)})`;
  return coefficients.slice(1).reduce((sum, c) => `fma(${sum}, ${x}, ${number(c)})`, number(coefficients[0]!));
}

/** The functions of trees that need more than WGSL's own, and what those call. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  rounded: "fn rounded(x: F) -> F { return bitcast<F>(bitcast<U>(x) | U(u.zero)); }",
  // The first 12 binary digits: a product of two such numbers is exact.
  cut: "fn cut(x: F) -> F { return bitcast<F>(bitcast<U>(x) & U(0xfffff000u)); }",
  withSign:
    "fn withSign(size: F, sign: F) -> F { return bitcast<F>(bitcast<U>(size) | (bitcast<U>(sign) & U(0x80000000u))); }",
  // e^x for x from -87.3365 to 88.7228, where it is a normal float. Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low
  // bits of the sum; ln 2 is taken off in two parts, the first of few digits.
  power: `fn power(x: F) -> F {
  let t = rounded(fma(x, F(1.442695), F(12582912.0)));
  let n = t - F(12582912.0);
  let r = fma(n, F(2.1219444e-4), rounded(fma(n, F(-0.693359375), x)));
  let y = fma(${polynomial("r", EXP)}, r * r, r) + F(1.0);
  return bitcast<F>(bitcast<U>(y) + (bitcast<U>(t) << U(23u)));
}`,
  exp: `fn exp_(x: F) -> F {
  let y = select(power(x), F(0.0), x < F(-87.33654));
  return select(select(y, bitcast<F>(U(0x7f800000u | u.zero)), x > F(88.72283)), x, isNan_(x));
}`,
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)). Subnormal numbers are whole numbers times 2^-149 by their bits.
  log: `fn log_(x: F) -> F {
  let bits = bitcast<U>(x);
  let tiny = bits < U(0x00800000u);
  let shifted = select(bits, bitcast<U>(F(bits)), tiny) - U(0x3f3504f3u);
  let e = F(bitcast<I>(shifted) >> U(23u)) - select(F(0.0), F(149.0), tiny);
  let m = bitcast<F>((shifted & U(0x7fffffu)) + U(0x3f3504f3u)) - F(1.0);
  let s = m * m;
  let y = fma(e, F(0.693359375), m + fma(s, F(-0.5), fma(e, F(-2.1219444e-4), m * s * ${polynomial("m", LOG)})));
  let ofZero = select(bits | U(0x7fc00000u), U(0xff800000u), (bits << U(1u)) == U(0u));
  let special = select(ofZero, bits, bits == U(0x7f800000u));
  return select(bitcast<F>(special), y, (bits - U(1u)) < U(0x7f7fffffu));
}`,
  // A polynomial near 0, 1 - 2 / (e^2x + 1) further out; 1 from 9.1 on.
  tanh: `fn tanh_(x: F) -> F {
  let a = abs(x);
  let s = x * x;
  let near = fma(${polynomial("s", TANH)} * s, a, a);
  let far = F(1.0) - F(2.0) / (power(min(a + a, F(20.0))) + F(1.0));
  return select(withSign(select(near, far, a > F(0.625)), x), x, isNan_(x));
}`,
  // By e^-|x|, which does not overflow.
  sigmoid: `fn sigmoid_(x: F) -> F {
  let a = -abs(x);
  let t = select(power(a), F(0.0), a < F(-87.33654));
  return select(select(F(1.0), t, x < F(0.0)) / (F(1.0) + t), x, isNan_(x));
}`,
  erf: `fn erf_(x: F) -> F {
  let a = abs(x);
  let s = x * x;
  let near = fma(${polynomial("s", ERF_NEAR)}, a, a);
  let t = fma(min(a, F(3.92)), F(${Math.fround(2 / 2.92)}), F(${Math.fround(-4.92 / 2.92)}));
  let far = ${polynomial("t", ERF_FAR)};
  return select(withSign(select(far, near, a < F(1.0)), x), x, isNan_(x));
}`,
  // What is negative, but for -0, has no root.
  sqrt: `fn sqrt_(x: F) -> F {
  let bits = bitcast<U>(x);
  let y = select(sqrt(x), bitcast<F>(bits | U(0x7fc00000u)), bits > U(0x7f800000u));
  return select(y, x, (bits << U(1u)) == U(0u));
}`,
  rsqrt: `fn rsqrt_(x: F) -> F {
  let bits = bitcast<U>(x);
  let y = select(inverseSqrt(x), bitcast<F>(bits | U(0x7fc00000u)), bits > U(0x7f800000u));
  return select(y, bitcast<F>(bits | U(0x7f800000u)), (bits << U(1u)) == U(0u));
}`,
  sin: "fn sin_(x: F) -> F { return bitcast<F>(bitcast<U>(turn(x, U(0u))) ^ (bitcast<U>(x) & U(0x80000000u))); }",
  cos: "fn cos_(x: F) -> F { return turn(x, U(1u)); }",
  // |x| = q * pi/2 + r: up to 1e4 pi/2 is taken off in three parts, of which the first two have so few digits that the products are exact.
  // Then polynomials for sine and cosine on [-pi/4, pi/4].
  turn: `fn turn(x: F, quarters: U) -> F {
  let a = abs(x);
  let t = rounded(fma(a, F(0.63661975), F(12582912.0)));
  let j = t - F(12582912.0);
  var r = rounded(fma(j, F(-4.837512969970703e-4), rounded(fma(j, F(-1.5703125), a))));
  r = fma(j, F(-7.549789948768648e-8), r);
  var q = bitcast<U>(t);
  if (any(a > F(1e4))) {
    let p = phase(a);
    r = select(r, F(bitcast<I>(p << U(2u))) * F(${Math.fround((Math.PI / 2) * 2 ** -32)}), a > F(1e4));
    q = select(q, (p + U(0x20000000u)) >> U(30u), a > F(1e4));
  }
  q += quarters;
  let s = r * r;
  let sine = fma(${polynomial("s", SINE)} * s, r, r);
  let cosine = fma(${polynomial("s", COSINE)}, s * s, fma(s, F(-0.5), F(1.0)));
  let y = select(sine, cosine, (q & U(1u)) == U(1u));
  let turned = bitcast<F>(bitcast<U>(y) ^ ((q & U(2u)) << U(30u)));
  return select(bitcast<F>(bitcast<U>(x) | U(0x7fc00000u)), turned, isFinite_(x));
}`,
  // a * 2/pi modulo 4 in units of 2^-30, for a of at least 2^13: the digits of a times those 64 binary digits of 2/pi that matter. M. Payne
  // and R. Hanek 1983, "Radian reduction for trigonometric functions".
  phase: `fn phase(a: F) -> U {
  let bits = bitcast<U>(a);
  let m = (bits & U(0x7fffffu)) | U(0x800000u);
  let start = (bits >> U(23u)) - U(120u);
  let word = start >> U(5u);
  let left = start & U(31u);
  let right = U(31u) - left;
  let middle = digits(word + U(1u));
  let high = (digits(word) << left) | ((middle >> U(1u)) >> right);
  let low = (middle << left) | ((digits(word + U(2u)) >> U(1u)) >> right);
  return m * high + ((m * (low >> U(24u))) >> U(8u))
    + ((m * ((low >> U(16u)) & U(255u))) >> U(16u)) + ((m * ((low >> U(8u)) & U(255u))) >> U(24u));
}`,
  digits: `fn digits(word: U) -> U {
  var d = select(U(0u), U(0xa2f9836eu), word == U(1u));
  d = select(d, U(0x4e441529u), word == U(2u));
  d = select(d, U(0xfc2757d1u), word == U(3u));
  d = select(d, U(0xf534ddc0u), word == U(4u));
  d = select(d, U(0xdb629599u), word == U(5u));
  return select(d, U(0x3c439041u), word == U(6u));
}`,
  // 2^(y log2 |x|), where the logarithm is a sum of two floats: a large y makes its last digits matter. log2 m = 2/ln 2 * artanh s. Special
  // cases as IEEE 754 has them.
  pow: `fn pow_(x: F, y: F) -> F {
  let bits = bitcast<U>(x) & U(0x7fffffffu);
  let tiny = bits < U(0x00800000u);
  let shifted = select(bits, bitcast<U>(F(bits)), tiny) - U(0x3f3504f3u);
  let e = F(bitcast<I>(shifted) >> U(23u)) - select(F(0.0), F(149.0), tiny);
  let m = bitcast<F>((shifted & U(0x7fffffu)) + U(0x3f3504f3u));
  let d = m - F(1.0);
  let v = F(1.0) / (m + F(1.0));
  let s = d * v;
  let sh = cut(s);
  let mh = cut(m);
  let sl = v * fma(-sh, m - mh, rounded(fma(-sh, mh, rounded(d - sh))));
  let z = s * s;
  let series = s * z * ${polynomial("z", [0.233305737, 0.285508156, 0.400001228, 0.666666687])};
  let h = F(2.0) * sh * F(1.4423828125);
  let l = fma(sh, F(6.244568e-4), F(1.442695) * fma(F(2.0), sl, series));
  let a = cut(e + (h + l));
  let b = rounded(h - rounded(a - e)) + l;
  let yc = clamp(y, F(-1e12), F(1e12));
  let yh = cut(yc);
  let p = yh * a;
  let q = fma(yc - yh, a, yc * b);
  let t = clamp(p + q, F(-200.0), F(200.0));
  let n = round(t);
  let r = (rounded(p - n) + q) * F(0.6931472);
  let power = fma(${polynomial("r", EXP)}, r * r, r) + F(1.0);
  let usual = min(bitcast<U>(power) + (bitcast<U>(rounded(n + F(12582912.0))) << U(23u)), U(0x7f800000u));
  var w = select(select(usual, U(0x7f800000u), t >= F(128.0)), U(0u), t < F(-126.0));
  let zero = bits == U(0u);
  let infinite = bits == U(0x7f800000u);
  w = select(w, select(U(0x7f800000u), U(0u), zero == (y > F(0.0))), zero | infinite);
  let negative = bitcast<U>(x) > U(0x7fffffffu);
  let half = y * F(0.5);
  let whole = trunc(y) == y;
  let odd = whole & (floor(half) != half);
  w |= select(U(0u), U(0x80000000u), negative & odd);
  let none = isNan_(x) | isNan_(y) | (negative & !(whole | zero | infinite));
  w = select(w, bits | U(0x7fc00000u), none);
  let one = (bitcast<U>(x) == U(0x3f800000u)) | ((bitcast<U>(y) << U(1u)) == U(0u));
  return bitcast<F>(select(w, U(0x3f800000u), one));
}`,
};

/** Functions that functions call. */
export const CALLS: Readonly<Record<string, readonly string[]>> = {
  power: ["rounded"],
  exp: ["power", "isNan"],
  tanh: ["power", "withSign", "isNan"],
  sigmoid: ["power", "isNan"],
  erf: ["withSign", "isNan"],
  sin: ["turn"],
  cos: ["turn"],
  turn: ["rounded", "phase", "isFinite"],
  phase: ["digits"],
  pow: ["rounded", "cut", "isNan"],
};
