import { afterAll, describe, expect, it } from "vitest";
import { CpuBackend } from "../src/backends/cpu/backend.ts";
import * as T from "../src/index.ts";
import { seeded, testDevice } from "../src/testing.ts";
import { erfReference } from "./reference/arrays.ts";

/*
 * How far functions are from their exact values, in units of the last place (ulp) of the f32 nearest to the exact one, on 100,000 points each.
 * `DEPLSR_ULPS=1` prints the table. Where the exact value is below 2⁻¹²⁶ (subnormal) a device may give 0, as WGSL says.
 */

const COUNT = 100_000;
const SMALLEST_NORMAL = 2 ** -126;
const LARGEST = Math.fround(3.4028235677973366e38);

type Samples = (random: () => number, i: number) => number;

const uniform =
  (low: number, high: number): Samples =>
  (random) =>
    low + (high - low) * random();
/** Sizes that are spread evenly over their exponents. */
const sizes =
  (low: number, high: number): Samples =>
  (random) =>
    Math.exp(Math.log(low) + Math.log(high / low) * random());
const bothSigns =
  (size: Samples): Samples =>
  (random, i) =>
    (i & 1 ? -1 : 1) * size(random, i >> 1);
const around =
  (center: number, distance: Samples): Samples =>
  (random, i) =>
    center + bothSigns(distance)(random, i);
interface Case {
  readonly name: string;
  readonly op: (x: T.Tensor) => T.Tensor;
  /** Of an f32, in double precision. */
  readonly exact: (x: number) => number;
  readonly samples: readonly Samples[];
  /** In ulp. */
  readonly bound: number;
  /** An error up to this is good too, however many ulp it is. */
  readonly absolute?: number;
}

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
/** Φ by the error function, and below −3 by the continued fraction of its tail, which does not cancel. */
function normalDistribution(x: number): number {
  const z = -x / Math.SQRT2;
  if (z < 2) return 0.5 * (1 - erfReference(z));
  let fraction = 0;
  for (let k = 120; k > 0; k--) fraction = k / 2 / (z + fraction);
  return (0.5 * Math.exp(-z * z)) / Math.sqrt(Math.PI) / (z + fraction);
}
const gelu = (x: number): number => x * normalDistribution(x);
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** All sizes of normal floats, and small ones down to 1e-30. */
const EVERY_SIZE = sizes(1.2e-38, 3.4e38);
const SMALL = bothSigns(sizes(1e-30, 1));

const EXPONENTS: readonly number[] = [
  0.1, 0.3, -0.3, 0.5, -0.5, 0.41666666, 1.5, 2.2, 2.4, 4, 5, 9, 10, 11, -2, -3, -7.3, 17, -40.5, 100, 1e-3, 1000,
  -30001, 1e7,
];

const CASES: readonly Case[] = [
  { name: "exp", op: T.exp, exact: Math.exp, samples: [uniform(-87.3, 88.7), SMALL], bound: 4 },
  { name: "log", op: T.log, exact: Math.log, samples: [EVERY_SIZE], bound: 4 },
  { name: "log near 1", op: T.log, exact: Math.log, samples: [around(1, sizes(6e-8, 0.5))], bound: 4 },
  { name: "tanh", op: T.tanh, exact: Math.tanh, samples: [bothSigns(uniform(0, 12)), SMALL], bound: 4 },
  { name: "erf", op: T.erf, exact: erfReference, samples: [bothSigns(uniform(0, 5)), SMALL], bound: 4 },
  { name: "sigmoid", op: T.sigmoid, exact: sigma, samples: [uniform(-87.3, 88.7), SMALL], bound: 4 },
  { name: "silu", op: T.silu, exact: (x) => x * sigma(x), samples: [uniform(-87.3, 88.7), SMALL], bound: 4 },
  { name: "gelu", op: T.gelu, exact: gelu, samples: [uniform(-0.5, 40), SMALL], bound: 4 },
  { name: "gelu below", op: T.gelu, exact: gelu, samples: [uniform(-40, -0.5)], bound: 4, absolute: 2 ** -22 },
  { name: "softplus", op: T.softplus, exact: softplus, samples: [uniform(-87.3, 88.7), SMALL], bound: 4 },
  { name: "logSigmoid", op: T.logSigmoid, exact: (x) => -softplus(-x), samples: [uniform(-88, 87.3), SMALL], bound: 4 },
  { name: "sqrt", op: T.sqrt, exact: Math.sqrt, samples: [EVERY_SIZE], bound: 2.5 },
  { name: "rsqrt", op: T.rsqrt, exact: (x) => 1 / Math.sqrt(x), samples: [EVERY_SIZE], bound: 2.5 },
  {
    name: "reciprocal",
    op: T.reciprocal,
    exact: (x) => 1 / x,
    samples: [bothSigns(sizes(1.2e-38, 8.5e37))],
    bound: 2.5,
  },
  {
    name: "div",
    op: (x) => T.div(0.7, x),
    exact: (x) => Math.fround(0.7) / x,
    samples: [bothSigns(sizes(1.2e-38, 8.5e37))],
    bound: 2.5,
  },
  ...(
    [
      ["sin", T.sin, Math.sin],
      ["cos", T.cos, Math.cos],
    ] as const
  ).flatMap(([name, op, exact]): Case[] => [
    {
      name,
      op,
      exact,
      samples: [uniform(-1e4, 1e4), SMALL, bothSigns(sizes(1, 1e4))],
      bound: 4,
      absolute: 2 ** -24,
    },
    {
      name: `${name} far out`,
      op,
      exact,
      samples: [bothSigns(sizes(1e4, 3.4e38))],
      bound: 4,
      absolute: 2 ** -24,
    },
  ]),
  ...EXPONENTS.map((given): Case => {
    const p = Math.fround(given);
    // Results from 2⁻¹²⁶ to 2¹²⁸, and bases near 1.
    const most = Math.min(2 ** 127.9, 2 ** (125.9 / Math.abs(p)));
    const bases = sizes(Math.max(1 / most, 1.2e-38), most);
    const near: Samples = (random, i) => 1 + bothSigns(sizes(6e-8, Math.min(0.4, 80 / Math.abs(p))))(random, i);
    const sign = Number.isInteger(p) ? bothSigns : (x: Samples) => x;
    return {
      name: `pow ${given}`,
      op: (x) => T.pow(x, given),
      exact: (x) => x ** p,
      samples: [sign(bases), sign(near)],
      bound: 9,
    };
  }),
];

/** Distance of `actual` from the exact value. */
function ulps(actual: number, exact: number): number {
  const size = Math.abs(exact);
  if (Number.isNaN(actual)) return Number.isNaN(exact) ? 0 : Number.POSITIVE_INFINITY;
  if (size < SMALLEST_NORMAL) return Math.abs(actual) <= SMALLEST_NORMAL ? 0 : Number.POSITIVE_INFINITY;
  if (Math.abs(actual) === Number.POSITIVE_INFINITY)
    return size > LARGEST * (1 - 2 ** -22) && actual > 0 === exact > 0 ? 0 : Number.POSITIVE_INFINITY;
  return Math.abs(actual - exact) / 2 ** (Math.floor(Math.log2(size)) - 23);
}

interface Worst {
  readonly ulps: number;
  readonly at: number;
  readonly got: number;
}

function worstOf({ absolute = 0 }: Case, x: Float32Array, y: ArrayLike<number>, right: Float64Array): Worst {
  let worst: Worst = { ulps: 0, at: x[0]!, got: y[0]! };
  for (let i = 0; i < x.length; i++) {
    const got = y[i]!;
    if (Math.abs(got - right[i]!) <= absolute) continue;
    const off = ulps(got, right[i]!);
    if (off > worst.ulps) worst = { ulps: off, at: x[i]!, got };
  }
  return worst;
}

function targets(): readonly [string, () => Promise<T.Device>][] {
  if (process.env.DEPLSR_BACKEND !== "cpu") return [["WebGPU", testDevice]];
  const cpu = (options: Parameters<typeof CpuBackend.create>[0]) => async () =>
    new T.Device(CpuBackend.create(options));
  return [
    ["CPU, relaxed, 256 bits", cpu({ threads: 1, relaxed: true, simd: 256 })],
    ["CPU, relaxed, 128 bits", cpu({ threads: 1, relaxed: true, simd: 128 })],
    ["CPU, 128 bits", cpu({ threads: 1, relaxed: false, simd: 128 })],
  ];
}

const devices = await Promise.all(targets().map(async ([name, open]) => [name, await open()] as const));
const table: Record<string, Record<string, string>> = {};
afterAll(() => {
  if (process.env.DEPLSR_ULPS) {
    console.log(devices.map(([, device]) => device.info.adapter).join("\n"));
    console.table(table);
  }
});

describe("functions are as far from their exact values as their bound allows", () => {
  it.each(CASES)("$name: $bound ulp", async (one) => {
    const random = seeded(7);
    const x = Float32Array.from({ length: COUNT }, (_, i) => {
      const samples = one.samples[i % one.samples.length]!;
      return samples(random, Math.floor(i / one.samples.length));
    });
    const right = Float64Array.from(x, one.exact);
    for (const [name, device] of devices) {
      const y = await T.scope(() => one.op(device.tensor(x))).data();
      const worst = worstOf(one, x, y, right);
      table[one.name] = { ...table[one.name], [name]: `${worst.ulps.toPrecision(3)} at ${worst.at.toPrecision(9)}` };
      const found = `${one.name}(${worst.at}) on ${name}: ${worst.got}, exactly ${one.exact(worst.at)}`;
      expect(worst.ulps, found).toBeLessThanOrEqual(one.bound);
    }
  });
});

const { NaN: NAN, POSITIVE_INFINITY: INF } = Number;

/** Equal to the sign of a zero, and to 1e-6 of its size where it is no zero; a subnormal result may be 0. */
function expectSame(what: string, actual: ArrayLike<number>, expected: readonly number[]): void {
  const kept = Array.from(actual, (y, i) => {
    const right = expected[i]!;
    if (right === 0 && y !== 0 && Math.abs(y) < SMALLEST_NORMAL) return y > 0 ? 0 : -0;
    return Number.isFinite(y) && right !== 0 && Math.abs(y - right) <= 1e-6 * Math.abs(right) ? right : y;
  });
  expect([what, ...kept]).toEqual([what, ...expected]);
}

describe("special values", () => {
  const x = [NAN, INF, -INF, 0, -0, 3e38, -3e38, -NAN];
  const cases: readonly (readonly [string, (x: T.Tensor) => T.Tensor, readonly number[]])[] = [
    ["exp", T.exp, [NAN, INF, 0, 1, 1, INF, 0, NAN]],
    ["log", T.log, [NAN, INF, NAN, -INF, -INF, Math.log(3e38), NAN, NAN]],
    ["tanh", T.tanh, [NAN, 1, -1, 0, -0, 1, -1, NAN]],
    ["erf", T.erf, [NAN, 1, -1, 0, -0, 1, -1, NAN]],
    ["sigmoid", T.sigmoid, [NAN, 1, 0, 0.5, 0.5, 1, 0, NAN]],
    ["sin", T.sin, [NAN, NAN, NAN, 0, -0, Math.sin(Math.fround(3e38)), -Math.sin(Math.fround(3e38)), NAN]],
    ["cos", T.cos, [NAN, NAN, NAN, 1, 1, Math.cos(Math.fround(3e38)), Math.cos(Math.fround(3e38)), NAN]],
    ["sqrt", T.sqrt, [NAN, INF, NAN, 0, -0, Math.sqrt(3e38), NAN, NAN]],
    ["rsqrt", T.rsqrt, [NAN, 0, NAN, INF, -INF, 1 / Math.sqrt(3e38), NAN, NAN]],
    ["gelu", T.gelu, [NAN, INF, NAN, 0, -0, 3e38, -0, NAN]],
    ["silu", T.silu, [NAN, INF, NAN, 0, -0, 3e38, -0, NAN]],
    ["softplus", T.softplus, [NAN, INF, 0, Math.LN2, Math.LN2, 3e38, 0, NAN]],
    ["logSigmoid", T.logSigmoid, [NAN, 0, -INF, -Math.LN2, -Math.LN2, 0, -3e38, NAN]],
  ];
  it.each(cases)("of %s", async (name, op, expected) => {
    for (const [, device] of devices) {
      expectSame(name, await T.scope(() => op(device.tensor(x))).data(), expected);
      // Not aligned to four, so that WebGPU takes them one at a time.
      const view = T.slice(device.tensor([9, ...x]), [[1, x.length + 1]]);
      expectSame(name, await op(view).data(), expected);
    }
  });

  it("of reciprocal, whose result for 3e38 is subnormal", async () => {
    for (const [, device] of devices) {
      const y = await T.reciprocal(device.tensor([NAN, INF, -INF, 0, -0])).data();
      expectSame("reciprocal", y, [NAN, 0, -0, INF, -INF]);
    }
  });

  it("of maximum and minimum", async () => {
    for (const [, device] of devices) {
      const [a, b] = [device.tensor([NAN, 1, NAN, INF, -INF]), device.tensor([1, NAN, NAN, 2, 2])];
      expectSame("maximum", await T.maximum(a, b).data(), [NAN, NAN, NAN, INF, 2]);
      expectSame("minimum", await T.minimum(a, b).data(), [NAN, NAN, NAN, 2, -INF]);
      expectSame("maximum", await T.maximum(b, NAN).data(), [NAN, NAN, NAN, NAN, NAN]);
    }
  });
});

/** IEEE 754's power. JavaScript's is NaN for 1 to the power of NaN, and for ±1 to an infinite one. */
function power(x: number, p: number): number {
  if (x === 1 || (x === -1 && Math.abs(p) === INF)) return 1;
  const y = x ** p;
  return Math.abs(y) < SMALLEST_NORMAL ? (1 / y > 0 ? 0 : -0) : Math.fround(y);
}

describe("powers", () => {
  const bases = [0, -0, 1, 2, 0.5, 1e-30, 1e30, 59, 0.9999999].flatMap((x) => [x, -x]).concat([INF, -INF, NAN]);
  const near = [0, -0, 1e-50, 1, -1, 2, 3, -2, -3, 0.5, -0.5, 0.3, -0.3, 1.5, -1.5, 4, 5, -4, -5, 10, 11, 25];
  const exponents = [...near, 2 ** 24 - 1, 2 ** 24 + 1, 1e9, -1e9, 1e38, INF, -INF, NAN];
  it.each(exponents)("with exponent %s are IEEE 754's", async (exponent) => {
    for (const [, device] of devices) {
      const x = Float32Array.from(bases);
      const y = await T.scope(() => T.pow(device.tensor(x), exponent)).data();
      expectSame(
        `pow ${exponent}`,
        y,
        [...x].map((base) => power(base, Math.fround(exponent))),
      );
    }
  });

  it("of whole numbers are whole", async () => {
    for (const [, device] of devices) {
      const y = await Promise.all([3, 4, 5, 10].map((exponent) => T.pow(device.tensor([-3]), exponent).data()));
      expect(y.map((values) => values[0])).toEqual([-27, 81, -243, 59049]);
    }
  });

  it("have PyTorch's gradients at 0", async () => {
    const slopes = {
      0: 0,
      1: 1,
      2: 0,
      3: 0,
      4: 0,
      5: 0,
      1.5: 0,
      0.5: INF,
      0.3: INF,
      "-0.5": -INF,
      "-1": -INF,
      "-2": -INF,
    };
    for (const [, device] of devices) {
      for (const [exponent, slope] of Object.entries(slopes)) {
        const x = T.requireGrad(device.tensor([0]));
        const dx = T.backward(T.sum(T.pow(x, Number(exponent)))).get(x)!;
        expectSame(`pow ${exponent}`, await dx.data(), [slope]);
      }
      const x = T.requireGrad(device.tensor([-2, NAN, INF]));
      expectSame(
        "pow 0",
        await T.backward(T.sum(T.pow(x, 0)))
          .get(x)!
          .data(),
        [0, 0, 0],
      );
      expectSame(
        "pow 5",
        await T.backward(T.sum(T.pow(x, 5)))
          .get(x)!
          .data(),
        [80, NAN, INF],
      );
      expectSame(
        "pow 4",
        await T.backward(T.sum(T.pow(x, 4)))
          .get(x)!
          .data(),
        [-32, NAN, INF],
      );
    }
  });

  it("may stand in a formula with both operands, with their gradients", async () => {
    const op = T.pointwise<[T.Tensor, T.Tensor]>("powers", (a, b) => T.E.pow(a!, b!));
    for (const [, device] of devices) {
      const a = T.requireGrad(device.tensor([2, 0, 0, -2, -2, 1]));
      const b = T.requireGrad(device.tensor([3, 2, 0, 3, 0.5, NAN]));
      const y = op(a, b);
      expectSame("pow", await y.data(), [8, 0, 1, -8, NAN, 1]);
      const gradients = T.backward(T.sum(T.slice(y, [[0, 4]])));
      expectSame("by the base", (await gradients.get(a)!.data()).slice(0, 4), [12, 0, 0, 12]);
      expectSame("by the exponent", (await gradients.get(b)!.data()).slice(0, 3), [8 * Math.LN2, 0, 0]);
    }
  });
});

describe("clamp", () => {
  it("is max where min is above it, and NaN where a bound is, as in PyTorch", async () => {
    for (const [, device] of devices) {
      const run = async (x: readonly number[], bounds: Parameters<typeof T.clamp>[1]) => {
        const leaf = T.requireGrad(device.tensor(x));
        const y = T.clamp(leaf, bounds);
        return [await y.data(), await T.backward(T.sum(y)).get(leaf)!.data()] as const;
      };
      const check = async (x: readonly number[], bounds: Parameters<typeof T.clamp>[1], y: number[], dx: number[]) => {
        const [value, slope] = await run(x, bounds);
        expectSame(JSON.stringify(bounds), value, y);
        expectSame(`gradient of ${JSON.stringify(bounds)}`, slope, dx);
      };
      await check([0, 1.5, 3], { min: 2, max: 1 }, [1, 1, 1], [0, 0, 0]);
      await check([0, 1, 2, 3, 4], { min: 1, max: 3 }, [1, 1, 2, 3, 3], [0, 1, 1, 1, 0]);
      await check([0, 1, 2], { min: 1 }, [1, 1, 2], [0, 1, 1]);
      await check([0, 1, 2], { max: 1 }, [0, 1, 1], [1, 1, 0]);
      await check([-INF, INF, 2], { min: -INF, max: INF }, [-INF, INF, 2], [1, 1, 1]);
      await check([0, 1], { min: NAN }, [NAN, NAN], [0, 0]);
      await check([0, 1], { min: 0, max: NAN }, [NAN, NAN], [0, 0]);
      expectSame("NaN", await T.clamp(device.tensor([NAN]), { min: 0, max: 1 }).data(), [NAN]);
      expectSame("NaN", await T.clamp(device.tensor([NAN]), { min: 2, max: 1 }).data(), [NAN]);
    }
  });
});
