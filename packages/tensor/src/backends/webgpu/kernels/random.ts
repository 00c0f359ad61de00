import type { RandomCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { gridStride } from "./wgsl.ts";

const WG = 64;

/**
 * Philox 4x32-10: four words of noise for a key of two and a counter of four words. Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3". The same words as `Rng` gives on the host.
 */
const PHILOX = `
// The product of two 32-bit words: x holds the high word, y the low one.
fn multiply(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
  return vec2u((a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u), a * b);
}
fn philox(counter: vec4u) -> vec4u {
  var c = counter;
  var k = vec2u(u.key0, u.key1);
  for (var round = 0u; round < 10u; round++) {
    let p = multiply(0xd2511f53u, c.x);
    let q = multiply(0xcd9e8d57u, c.z);
    c = vec4u(q.x ^ c.y ^ k.x, q.y, p.x ^ c.w ^ k.y, p.y);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
// The i-th counter of this call; block counts the draws of one element that needs many.
fn counterAt(i: u32, block: u32) -> vec4u {
  let low = u.counter0 + i;
  return vec4u(low, u.counter1 + select(0u, 1u, low < i), block, 0u);
}`;

/** What four words become. */
const FORMS = {
  bits: "words",
  uniform: "vec4f(words >> vec4u(8u)) * 0x1p-24",
  normal: "vec4f(boxMuller(words.xy), boxMuller(words.zw))",
} as const;

/**
 * One thread turns one counter into four results at a time. The output is a buffer of its own, whose size is a whole number of
 * vectors, so the last store may reach past the last element.
 */
const drawKernel = kernel("random", ({ kind }: { kind: keyof typeof FORMS }) => ({
  inputs: {},
  outputs: { y: kind === "bits" ? "vec4u" : "vec4f" },
  uniforms: { count: "u32", key0: "u32", key1: "u32", counter0: "u32", counter1: "u32" },
  workgroupSize: WG,
  source: `${PHILOX}
// Box & Muller 1958: radius from the first word, in (0, 1], angle from the second as a fraction of a turn: the nearest quarter,
// and the rest in [-pi/4, pi/4] by the polynomials of S. Moshier's Cephes (built-in sines may be off by 5e-4).
fn boxMuller(words: vec2u) -> vec2f {
  let radius = sqrt(max(0.0, -2.0 * log(fma(f32(words.x), 0x1p-32, 0x1p-33))));
  let quarter = (words.y + 0x20000000u) >> 30u;
  let r = f32(bitcast<i32>(words.y - (quarter << 30u))) * (6.28318530717959 * 0x1p-32);
  let s = r * r;
  let sine = fma(r * s, fma(s, fma(s, -1.9515296e-4, 8.3321609e-3), -1.6666655e-1), r);
  let cosine = fma(s * s, fma(s, fma(s, 2.4433157e-5, -1.3887316e-3), 4.1666646e-2), fma(s, -0.5, 1.0));
  let turned = select(vec2f(cosine, sine), vec2f(-sine, cosine), (quarter & 1u) == 1u);
  return select(radius, -radius, quarter >= 2u) * turned;
}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let words = philox(counterAt(i, 0u));
    y[i] = ${FORMS[kind]};
  }
}`,
}));

/**
 * One thread draws one count at a time, exactly distributed, from its own counter and as many blocks of it as it needs.
 * Rates below 10: the number of uniforms whose product stays above exp(−rate) (Knuth, TAOCP 2, 3.4.1). Above: transformed
 * rejection with squeeze, PTRS of Hörmann 1993, "The transformed rejection method for generating Poisson random variables".
 */
const poissonKernel = kernel("random-poisson", (_: object) => ({
  inputs: { rate: "f32" },
  outputs: { y: "f32" },
  uniforms: { count: "u32", key0: "u32", key1: "u32", counter0: "u32", counter1: "u32", zero: "u32" },
  workgroupSize: WG,
  source: `${PHILOX}
// Uniforms strictly between 0 and 1, exact in f32.
fn open(words: vec4u) -> vec4f { return (vec4f(words >> vec4u(9u)) + 0.5) * 0x1p-23; }

fn small(rate: f32, i: u32) -> f32 {
  let limit = exp(-rate);
  var product = 1.0;
  var k = 0u;
  for (var block = 0u; block < 64u; block++) {
    let v = open(philox(counterAt(i, block)));
    for (var lane = 0u; lane < 4u; lane++) {
      product *= v[lane];
      if (product <= limit) { return f32(k); }
      k++;
    }
  }
  return f32(k);
}

// k log(k / m) + m - k without cancellation: C. Loader 2000, "Fast and accurate computation of binomial probabilities".
fn deviance(k: f32, m: f32) -> f32 {
  let v = (k - m) / (k + m);
  if (abs(v) < 0.1) {
    let s = v * v;
    return (k - m) * v + 2.0 * k * v * s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s / 9.0)));
  }
  return k * log(k / m) + m - k;
}

// Logarithm of the Poisson probability of k: factorials below 8, Stirling's series above.
fn logProbability(k: f32, rate: f32) -> f32 {
  if (k < 8.0) {
    var factorial = 1.0;
    for (var j = 2.0; j <= k; j += 1.0) { factorial *= j; }
    return k * log(rate) - rate - log(factorial);
  }
  let r = 1.0 / (k * k);
  let stirling = (1.0 / 12.0 - r * (1.0 / 360.0 - r / 1260.0)) / k;
  return -stirling - deviance(k, rate) - 0.5 * log(6.28318530717959 * k);
}

fn large(rate: f32, i: u32) -> f32 {
  let b = 0.931 + 2.53 * sqrt(rate);
  let a = -0.059 + 0.02483 * b;
  let inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  let squeeze = 0.9277 - 3.6224 / (b - 2.0);
  for (var block = 0u; block < 64u; block++) {
    let words = open(philox(counterAt(i, block)));
    for (var pair = 0u; pair < 2u; pair++) {
      let x = words[pair * 2u] - 0.5;
      let v = words[pair * 2u + 1u];
      let s = 0.5 - abs(x);
      let k = floor((2.0 * a / s + b) * x + rate + 0.43);
      if (s >= 0.07 && v <= squeeze) { return k; }
      if (k < 0.0 || (s < 0.013 && v > s)) { continue; }
      if (log(v * inverseAlpha / (a / (s * s) + b)) <= logProbability(k, rate)) { return k; }
    }
  }
  // Fewer than one in 10^60 gets here.
  return floor(rate);
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let m = rate[i];
    let bits = bitcast<u32>(m);
    var result = bitcast<f32>(0x7fc00000u + u.zero);
    if (bits == 0u || bits == 0x80000000u) {
      result = 0.0;
    } else if (bits < 0x7f800000u) {
      // Positive and finite.
      if (m < 10.0) { result = small(m, i); } else { result = large(m, i); }
    }
    y[i] = result;
  }
}`,
}));

/** Fills a fresh output with draws. Poisson uses a counter for each element, the others one for each four. */
export function random(gpu: Gpu, { kind, key, counter, later, out, rate }: RandomCall): void {
  const size = numel(out.layout.shape);
  if (size === 0) return;
  const draw = drawUniforms({ key, counter });
  const changing = later && { later: () => drawUniforms(later()) };
  if (kind === "poisson") {
    if (!rate) throw new Error("internal: a Poisson draw without rates");
    poissonKernel.run(gpu, {
      template: {},
      operands: { rate, y: out },
      uniforms: { ...draw, count: size, zero: 0 },
      workgroups: gridStride(gpu, size, WG),
      ...changing,
    });
    return;
  }
  const count = Math.ceil(size / 4);
  drawKernel.run(gpu, {
    template: { kind },
    operands: { y: out },
    uniforms: { ...draw, count },
    workgroups: gridStride(gpu, count, WG),
    ...changing,
  });
}

function drawUniforms({
  key: [key0, key1],
  counter,
}: Pick<RandomCall, "key" | "counter">): Record<DrawUniform, number> {
  return { key0, key1, counter0: counter % 2 ** 32, counter1: Math.floor(counter / 2 ** 32) };
}

type DrawUniform = "key0" | "key1" | "counter0" | "counter1";
