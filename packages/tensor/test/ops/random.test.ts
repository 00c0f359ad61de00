import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { expectClose, expectNoLeak, testDevice } from "../../src/testing.ts";
import { goodnessOfFit, moments, poissonProbabilities } from "../reference/distributions.ts";

const gpu = await testDevice();

/** Words of `count` elements from a counter on, as the host computes them. */
function hostWords(key: readonly [number, number], counter: number, count: number): number[] {
  return Array.from({ length: Math.ceil(count / 4) }, (_, i) => {
    const at = counter + i;
    return T.philox([at % 2 ** 32, Math.floor(at / 2 ** 32), 0, 0], key);
  })
    .flat()
    .slice(0, count);
}

const STARTS = [
  ["a small seed", new T.Rng(1)],
  ["64 bits of seed", new T.Rng(0xfedcba9876543210n)],
  ["a counter that outgrows one word", T.Rng.fromState({ key: [5, 6], counter: 2 ** 32 - 3, words: [] })],
  ["a counter of two words", T.Rng.fromState({ key: [0xffffffff, 0], counter: 2 ** 45 + 7, words: [] })],
] as const;

describe("the same words on device and host", () => {
  it.each(STARTS)("%s", async (_, rng) => {
    for (const count of [1, 2, 3, 4, 5, 257, 1000]) {
      const { key, counter } = rng.state();
      const words = hostWords(key, counter, count);
      const copy = T.Rng.fromState(rng.state());
      expect(Array.from(await T.randBits(gpu, [count], rng).data())).toEqual(words);
      expect(Array.from(await T.rand(gpu, [count], T.Rng.fromState(copy.state())).data())).toEqual(
        words.map((word) => (word >>> 8) * 2 ** -24),
      );
      const uniforms = Array.from({ length: count }, () => copy.uniform(24));
      expect(uniforms).toEqual(words.map((word) => (word >>> 8) * 2 ** -24));
      expect(rng.state().counter).toBe(counter + Math.ceil(count / 4));
    }
  });

  it("gives normal numbers made of them", async () => {
    const words = hostWords([3, 0], 0, 4000);
    const expected = words.map((_, i) => {
      const [first, second] = [words[i & ~1]!, words[i | 1]!];
      const radius = Math.sqrt(-2 * Math.log(Math.min(1, (first + 0.5) * 2 ** -32)));
      const angle = (second | 0) * Math.PI * 2 ** -31;
      return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
    });
    expectClose(await T.randn(gpu, [4000], new T.Rng(3)).data(), expected, { rel: 0, abs: 1e-5 });
  });
});

describe("distributions", () => {
  const n = 200_000;

  it("rand is uniform on [0, 1)", async () => {
    const draws = await T.rand(gpu, [n / 10, 10], new T.Rng(11)).data();
    const { mean, variance, neighbours } = moments(draws);
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(4 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / n));
    expect(Math.abs(neighbours)).toBeLessThan(4 / Math.sqrt(n));
    const cells = Array.from(draws, (x) => Math.floor(x * 1000));
    expect(Math.abs(goodnessOfFit(cells, new Array(1000).fill(1e-3)))).toBeLessThan(3.5);
  });

  it("randn is standard normal, tails included", async () => {
    const draws = await T.randn(gpu, [n], new T.Rng(12)).data();
    const { mean, variance, neighbours } = moments(draws);
    expect(Math.abs(mean)).toBeLessThan(4 * Math.sqrt(1 / n));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(neighbours)).toBeLessThan(4 / Math.sqrt(n));
    const beyond = (limit: number): number => draws.filter((x: number) => Math.abs(x) > limit).length / n;
    for (const [limit, p] of [
      [0.5, 0.6170751],
      [1, 0.3173105],
      [2, 0.0455003],
      [3, 0.0026998],
      [4, 0.0000633],
    ] as const) {
      expect(Math.abs(beyond(limit) - p)).toBeLessThan(4 * Math.sqrt(p / n));
    }
  });

  it.each([0.1, 1, 5, 9.9, 10, 30, 256])("poisson counts are exact at rate %d", async (rate) => {
    const counts = await T.poisson(gpu.full([n], rate), new T.Rng(13)).data();
    expect(counts.every((k: number) => Number.isInteger(k) && k >= 0)).toBe(true);
    const { mean, variance, neighbours } = moments(counts);
    expect(Math.abs(mean - rate)).toBeLessThan(4 * Math.sqrt(rate / n));
    expect(Math.abs(variance - rate)).toBeLessThan(4 * Math.sqrt((2 * rate * rate + rate) / n));
    expect(Math.abs(neighbours)).toBeLessThan(4 / Math.sqrt(n));
    const probabilities = poissonProbabilities(rate, Math.ceil(rate + 12 * Math.sqrt(rate) + 12));
    expect(Math.abs(goodnessOfFit(counts, probabilities))).toBeLessThan(3.5);
  });

  it.each([9.9, 30, 256])("the check refuses rounded normal numbers at rate %d", async (rate) => {
    const normal = await T.randn(gpu, [n], new T.Rng(14)).data();
    const rounded = Array.from(normal, (z) => Math.max(0, Math.round(rate + Math.sqrt(rate) * z)));
    const probabilities = poissonProbabilities(rate, Math.ceil(rate + 12 * Math.sqrt(rate) + 12));
    expect(goodnessOfFit(rounded, probabilities)).toBeGreaterThan(3.5);
  });

  it.each([2000, 1e4, 1e6])("poisson counts keep their moments at rate %d", async (rate) => {
    const counts = await T.poisson(gpu.full([n], rate), new T.Rng(15)).data();
    const scaled = Array.from(counts, (k) => (k - rate) / Math.sqrt(rate));
    const { mean, variance } = moments(scaled);
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    const third = scaled.reduce((total, z) => total + z ** 3, 0) / n;
    expect(Math.abs(third - 1 / Math.sqrt(rate))).toBeLessThan(4 * Math.sqrt(15 / n));
    const fourth = scaled.reduce((total, z) => total + z ** 4, 0) / n;
    expect(Math.abs(fourth - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
  });
});

describe("poisson", () => {
  it("takes one rate for each element, with its limits", async () => {
    const rates = [0, -0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-30, 0, 3];
    const counts = Array.from(await T.poisson(gpu.tensor(rates, [2, 4]), new T.Rng(1)).data());
    expect(counts.slice(0, 2)).toEqual([0, 0]);
    expect(counts.slice(2, 5).every(Number.isNaN)).toBe(true);
    expect(counts.slice(5, 7)).toEqual([0, 0]);
    expect(Number.isInteger(counts[7])).toBe(true);
  });

  it("goes with the element, not with the shape or what is beside it", async () => {
    const rate = gpu.tensor(Float32Array.from({ length: 600 }, (_, i) => (i % 30) * 1.5));
    const whole = Array.from(await T.poisson(rate, new T.Rng(2)).data());
    const first = Array.from(await T.poisson(T.narrow(rate, 0, 0, 77), new T.Rng(2)).data());
    expect(first).toEqual(whole.slice(0, 77));
    const rng = new T.Rng(2);
    const split = [T.poisson(T.narrow(rate, 0, 0, 77), rng), T.poisson(T.narrow(rate, 0, 77, 523), rng)];
    expect([...(await split[0]!.data()), ...(await split[1]!.data())]).toEqual(whole);
  });

  it("takes only floats", () => {
    expect(() => T.poisson(gpu.tensor(Int32Array.of(1)), new T.Rng(1))).toThrow(
      "poisson: takes f32 or f16, got rate i32[1]",
    );
  });
});

describe("bernoulli and dropout", () => {
  it("draws 1 with probability p", async () => {
    const n = 50_000;
    for (const p of [0, 0.25, 0.9, 1]) {
      const draws = await T.bernoulli(gpu, [n], p, new T.Rng(21)).data();
      expect(draws.every((x: number) => x === 0 || x === 1)).toBe(true);
      const ones = draws.filter((x: number) => x === 1).length;
      expect(Math.abs(ones - n * p)).toBeLessThanOrEqual(4 * Math.sqrt(n * p * (1 - p)));
    }
    expect(() => T.bernoulli(gpu, [1], 1.5, new T.Rng(1))).toThrow("bernoulli: probability 1.5 is not between 0 and 1");
  });

  it("drops elements, scales the others, and passes the gradient by the same mask", async () => {
    const x = T.requireGrad(gpu.full([10_000], 3));
    const y = T.dropout(x, { p: 0.2, rng: new T.Rng(22) });
    const values = Array.from(await y.data());
    expect(new Set(values)).toEqual(new Set([0, 3.75]));
    expect(Math.abs(values.filter((value) => value === 0).length / 10_000 - 0.2)).toBeLessThan(
      4 * Math.sqrt(0.16 / 10_000),
    );
    const dx = await T.backward(y.sum()).get(x)!.data();
    expectClose(
      dx,
      values.map((value) => (value === 0 ? 0 : 1.25)),
    );
  });

  it("leaves everything or nothing at the ends", async () => {
    const x = gpu.tensor([1, 2, 3]);
    expect(T.dropout(x, { p: 0, rng: new T.Rng(1) })).toBe(x);
    expect(Array.from(await T.dropout(x, { p: 1, rng: new T.Rng(1) }).data())).toEqual([0, 0, 0]);
    expect(() => T.dropout(x, { p: -0.1, rng: new T.Rng(1) })).toThrow(
      "dropout: probability -0.1 is not between 0 and 1",
    );
  });

  it("draws anew each time, and gives back its memory", async () => {
    const rng = new T.Rng(23);
    const x = gpu.ones([100]);
    const masks = [T.dropout(x, { p: 0.5, rng }), T.dropout(x, { p: 0.5, rng })];
    expect(Array.from(await masks[0]!.data())).not.toEqual(Array.from(await masks[1]!.data()));
    await expectNoLeak(() => {
      T.dropout(x, { p: 0.5, rng });
      T.poisson(x, rng);
      T.randn(gpu, [9], rng);
    });
  });

  it("takes tensors without elements", async () => {
    expect((await T.rand(gpu, [0, 3], new T.Rng(1)).data()).length).toBe(0);
    expect((await T.poisson(gpu.zeros([0]), new T.Rng(1)).data()).length).toBe(0);
    expect(() => T.rand(gpu, [-1], new T.Rng(1))).toThrow("rand: [-1] is no shape");
  });
});
