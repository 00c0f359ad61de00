import { COSINE, ERF_FAR, ERF_NEAR, EXP, LOG, SINE, TANH } from "../../polynomials.ts";
import type { FunctionBuilder } from "./builder.ts";
import { F32x4, F64x2, type F64x2Term, f32x4, f64x2, I32x4, i32x4, lanes } from "./values.ts";

/* Functions of four floats at a time, good to about 2 ulp. A NaN stays one. */

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
  const upper = f.fma(pair(EXP[0]!, EXP[1]!), square, pair(EXP[2]!, EXP[3]!));
  const p = f.fma(f.let(upper), square, pair(EXP[4]!, EXP[5]!));
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
  const p = polynomial(f, m, LOG);
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
  const p = polynomial(f, s, TANH);
  const near = f.fma(f.let(p.mul(s)), a, a);
  const e = expNegative(f, a.mul(-2));
  const far = f.let(f32x4(1).sub(e).div(e.add(1)));
  return f.let(withSign(a.lt(0.625).select(near, far), x));
}

/** `1 / (1 + e⁻ˣ)`. */
export function sigmoid(f: FunctionBuilder, value: F32x4): F32x4 {
  return f.let(f32x4(1).div(exp(f, value.neg()).add(1)));
}

/** The size of `a` with the sign of `b`. */
function withSign(a: F32x4, b: F32x4): F32x4 {
  return a.bits().or(b.bits().and(0x80000000)).float();
}

/** The error function: x + x·p(x²) below 1, a polynomial of |x| above. */
export function erf(f: FunctionBuilder, value: F32x4): F32x4 {
  const x = f.let(value);
  const a = f.let(x.abs());
  const p = polynomial(f, f.let(x.mul(x)), ERF_NEAR);
  const near = f.let(f.fma(f.let(p), x, x));
  const t = f.let(f.fma(a.notAbove(3.92), 2 / 2.92, -4.92 / 2.92));
  const far = polynomial(f, t, ERF_FAR);
  return f.let(a.lt(1).select(near, withSign(f.let(far), x)));
}

/** π/2 in two parts, the first with 33 bits, so that its products with whole numbers below 2²⁰ are exact. */
const HALF_PI = [1.5707963267341256, 6.077100506506192e-11] as const;
/** From here on the argument is reduced digit by digit. */
const FAR = 1e6;
/** 2/π in pieces of 29 binary digits, whose products with floats are exact doubles. */
const TWO_OVER_PI = [
  [341782637, 29],
  [423170132, 58],
  [352195499, 87],
  [488592205, 116],
  [461485765, 145],
  [90590992, 174],
].map(([digits, places]) => digits! * 2 ** -places!);

/** A quarter turn that an angle is in, and the angle from its middle, in [−π/4, π/4]. */
interface Quarter {
  readonly j: I32x4;
  readonly r: F32x4;
}

/** Of an angle below `FAR`, two at a time. */
function reduceNear(f: FunctionBuilder, a: F64x2): Quarter {
  const j = f.let(a.mul(2 / Math.PI).nearest());
  return { r: f.let(a.sub(j.mul(HALF_PI[0])).sub(j.mul(HALF_PI[1])).demote()), j: f.let(j.toI32()) };
}

/** Of any angle: what its product with each piece of 2/π has above a whole number of turns is exact too. */
function reduceFar(f: FunctionBuilder, a: F64x2): Quarter {
  const quarters = TWO_OVER_PI.map((piece) => {
    const product = f.let(a.mul(piece));
    return f.let(product.sub(product.mul(0.25).nearest().mul(4)));
  });
  const all = f.let(quarters.reduceRight((sum, part) => sum.add(part)));
  const j = f.let(all.nearest());
  return {
    r: f.let(
      all
        .sub(j)
        .mul(Math.PI / 2)
        .demote(),
    ),
    j: f.let(j.toI32()),
  };
}

/** Sine, or with `quarters` 1 cosine, of |x|; the argument is reduced in double precision. NaN for infinities. */
function turn(f: FunctionBuilder, a: F32x4, quarters: number): F32x4 {
  const r = f.local(F32x4);
  const j = f.local(I32x4);
  const reduce = (part: (f: FunctionBuilder, half: F64x2) => Quarter): void => {
    const low = part(f, f.let(a.promoteLow()));
    const high = part(f, f.let(a.shuffle(a, 2, 3, 2, 3).promoteLow()));
    f.set(r, low.r.shuffle(high.r, 0, 1, 4, 5));
    f.set(j, low.j.shuffle(high.j, 0, 1, 4, 5).add(quarters));
  };
  reduce(reduceNear);
  f.if(a.gt(FAR).any(), () => reduce(reduceFar));
  const s = f.let(r.mul(r));
  const sine = f.let(f.fma(polynomial(f, s, SINE), f.let(s.mul(r)), r));
  const p = polynomial(f, s, COSINE);
  const cosine = f.let(f.fma(f.let(p), s.mul(s), f.fma(s, -0.5, 1)));
  const y = f.let(j.and(1).eq(1).select(cosine, sine));
  return f.let(y.bits().xor(j.and(2).shl(30)).float());
}

export function sin(f: FunctionBuilder, value: F32x4): F32x4 {
  const x = f.let(value);
  const y = turn(f, f.let(x.abs()), 0);
  return f.let(y.bits().xor(x.bits().and(0x80000000)).float());
}

export function cos(f: FunctionBuilder, x: F32x4): F32x4 {
  return turn(f, f.let(x.abs()), 1);
}

/** `xʸ` in double precision: log₂ by the series of artanh, 2ᵗ by Taylor's. Special cases as IEEE 754 has them. */
export function pow(f: FunctionBuilder, base: F32x4, exponent: F32x4): F32x4 {
  const x = f.let(base);
  const y = f.let(exponent);
  const a = f.let(x.abs());
  const infinity = f32x4(Number.POSITIVE_INFINITY);
  // An infinite exponent is as good as one of 2⁴⁰, which has a product with the logarithm of 1.
  const limited = f.let(y.notAbove(2 ** 40).notBelow(-(2 ** 40)));
  const half = (b: F32x4, c: F32x4): F32x4 => powHalf(f, f.let(b.promoteLow()), f.let(c.promoteLow()));
  const low = half(a, limited);
  const high = half(a.shuffle(a, 2, 3, 2, 3), limited.shuffle(limited, 2, 3, 2, 3));
  const power = f.let(low.shuffle(high, 0, 1, 4, 5));
  const zero = f.let(a.eq(0));
  const edge = f.let(zero.or(a.eq(infinity)));
  // 0 and ∞ go to 0 or ∞ by the sign of y.
  const ofEdge = zero.xor(y.gt(0)).select(infinity, f32x4(0));
  const size = f.let(edge.select(ofEdge, power));
  const wholeY = f.let(y.eq(y.trunc()));
  const halfY = f.let(y.mul(0.5));
  const odd = wholeY.and(halfY.ne(halfY.floor()));
  const signed = f.let(size.bits().or(x.bits().and(odd).and(0x80000000)).float());
  const none = x
    .ne(x)
    .or(y.ne(y))
    .or(x.lt(0).and(wholeY.or(edge).not()));
  const value = f.let(none.select(f32x4(Number.NaN), signed));
  return f.let(x.eq(1).or(y.eq(0)).select(f32x4(1), value));
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
