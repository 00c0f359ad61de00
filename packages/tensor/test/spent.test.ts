import { describe, expect, it } from "vitest";
import * as T from "../src/index.ts";
import { testDevice } from "../src/testing.ts";
import { differentiable } from "./dtypes/gradients.ts";

const device = await testDevice();
/** What tests before have forgotten may go whenever something is awaited: less is as good as equal after that. */
const live = (): number => device.memory().liveBuffers;
const leaf = (...values: number[]): T.Tensor => T.requireGrad(device.tensor(values));
const numbers = async (x: T.Tensor): Promise<number[]> => [...(await x.data())];

describe("backward", () => {
  it("gives back what lies between the leaves and the result, and reading it says what to do", async () => {
    const w = leaf(1, 2);
    const h = T.mul(w, 3);
    const [part] = T.split(T.exp(h), 1, 0);
    const y = T.sum(T.square(part!));
    T.backward(y);
    for (const x of [h, part!]) {
      expect(x.disposed).toBe(true);
      expect(() => T.add(x, 1)).toThrow(T.DisposedError);
      await expect(x.data()).rejects.toThrow(
        /^data: x f32\[\d\] was given back by backward after its last use \(made by `\w+`\): keep\(x\) .* retainGraph: true/,
      );
    }
    expect(await numbers(w)).toEqual([1, 2]);
    expect(await y.item()).toBeCloseTo(Math.exp(6), 2);
  });

  it("leaves what is kept, asked for or detached, and everything where the graph is retained", async () => {
    const w = leaf(1, 2);
    const [kept, asked, other] = [T.keep(T.mul(w, 3)), T.mul(w, 5), T.mul(w, 7)];
    const copy = T.detach(other);
    const y = T.sum(T.add(T.add(T.square(kept), asked), other));
    const seen = T.backward(y, { wrt: [w, asked], retainGraph: true });
    expect(await numbers(other)).toEqual([7, 14]);
    T.backward(y, { wrt: [asked] });
    expect([kept, asked, other].map(({ disposed }) => disposed)).toEqual([false, false, true]);
    expect([await numbers(kept), await numbers(asked), await numbers(copy)]).toEqual([
      [3, 6],
      [5, 10],
      [7, 14],
    ]);
    expect(await numbers(seen.get(asked)!)).toEqual([1, 1]);
    kept.dispose();
  });

  it("takes nothing from a result that was written, or from one that another graph has", async () => {
    const w = leaf(2);
    const h = T.keep(T.mul(w, 3));
    T.backward(T.sum(h));
    T.assign(h, device.tensor([10]));
    const own = T.square(w);
    expect(await numbers(T.backward(T.sum(T.mul(T.add(h, own), w))).get(w)!)).toEqual([10 + 3 * 4]);
    expect(await numbers(h)).toEqual([10]);
  });

  it.each(Object.entries(differentiable))("leaves nothing behind but the gradients: %s", async (_, [shapes, op]) => {
    const inputs = shapes.map((shape, i) => {
      const values = Float32Array.from({ length: T.numel(shape) }, (_, k) => Math.sin(k + 5 * i + 1));
      return T.requireGrad(device.tensor(values, shape));
    });
    const step = (): Map<T.Tensor, T.Tensor> => {
      const y = T.transient(() => op(...inputs));
      const loss = T.transient(() => T.sum(T.mul(y, T.sin(T.reshape(device.arange(y.size), y.shape)))));
      const gradients = T.backward(loss);
      for (const gradient of gradients.values()) gradient.dense();
      loss.dispose();
      return gradients;
    };
    // What is kept for later calls is there after the first.
    for (const gradient of step().values()) gradient.dispose();
    await device.sync();
    const before = live();
    const gradients = step();
    // Indices are checked on the device until then.
    await device.sync();
    expect(live() - before).toBeLessThanOrEqual(gradients.size);
    for (const gradient of gradients.values()) gradient.dispose();
    expect(live()).toBeLessThanOrEqual(before);
  });

  it("ends 1,000 steps with the bytes that they began with", async () => {
    const w = T.requireGrad(device.tensor(Float32Array.from({ length: 64 }, Math.sin), [8, 8]));
    const x = device.tensor(Float32Array.from({ length: 64 }, Math.cos), [8, 8]);
    const step = (): void => {
      const hidden = T.gelu(T.linear(x, w));
      const loss = T.mean(T.square(T.sub(T.softmax(hidden, -1), x)));
      for (const gradient of T.backward(loss).values()) gradient.dispose();
      loss.dispose();
    };
    step();
    const before = device.memory().liveBytes;
    for (let i = 0; i < 1000; i++) {
      step();
      if (i % 100 === 0) await device.sync();
    }
    // Without a scope: nothing waits for the collector.
    expect(device.memory().liveBytes).toBeLessThanOrEqual(before);
  });
});

describe("an op that is made of others", () => {
  const image = device.tensor(Float32Array.from({ length: 2 * 4 * 6 * 6 }, Math.sin), [2, 4, 6, 6]);
  const matrix = device.tensor(Float32Array.from({ length: 24 }, Math.sin), [4, 6]);
  const row = device.ones([6]);
  const filters = device.ones([3, 4, 3, 3]);
  const three = device.ones([3]);
  const four = device.ones([4]);
  const rng = new T.Rng(1);
  const composites: Readonly<Record<string, () => T.Tensor | T.BatchNormResult>> = {
    linear: () => T.linear(matrix, device.ones([6, 6]), row),
    channelLinear: () => T.channelLinear(T.reshape(image, [2, 4, 36]), device.ones([6, 4]), row),
    conv2d: () => T.conv2d(image, filters, { bias: three, padding: 1 }),
    batchNorm: () => T.batchNorm(image, { weight: four, bias: four }),
    "batchNorm with statistics": () => T.batchNorm(image, { weight: four, mean: four, variance: four }).y,
    l2Norm: () => T.l2Norm(matrix, { dim: 0 }),
    l2Normalize: () => T.l2Normalize(matrix),
    variance: () => T.variance(image, { dim: [0, 2] }),
    mean: () => T.mean(image, { dim: [0, 2] }),
    logSumExp: () => T.logSumExp(matrix, { dim: 1 }),
    softmax: () => T.softmax(matrix, 0),
    argmax: () => T.argmax(matrix, { dim: 0 }),
    maxPool2d: () => T.maxPool2d(image, { kernel: 2 }),
    avgPool2d: () => T.avgPool2d(image, { kernel: 2 }),
    adaptiveAvgPool2d: () => T.adaptiveAvgPool2d(image, 3),
    interpolate: () => T.interpolate(image, { mode: "bicubic", scaleFactor: 2 }),
    "pad by reflection": () => T.pad(matrix, [[1, 1] as const, [2, 2] as const], { mode: "reflect" }),
    stack: () => T.stack([matrix, matrix, matrix], 1),
    repeat: () => T.repeat(matrix, [2, 1, 3]),
    rearrange: () => T.rearrange(image, "b c (h x) w -> (b x) h w c", { x: 2 }),
    pixelShuffle: () => T.pixelShuffle(image, 2),
    dropout: () => T.dropout(matrix, { p: 0.5, rng }),
    bernoulli: () => T.bernoulli(device, [9], 0.5, rng),
    attention: () => T.attention(matrix, matrix, matrix, { mask: "causal" }),
    attentionWeights: () => T.attentionWeights(matrix, matrix, { bias: device.zeros([4]) }),
  };

  it.each(Object.entries(composites))("leaves nothing behind but its result: %s", async (name, op) => {
    const results = (): readonly T.Tensor[] => {
      const y = op();
      const all = y instanceof T.Tensor ? [y] : [y.y, y.mean, y.variance];
      for (const x of all) x.dense();
      return all;
    };
    // What it keeps for later calls, it has after the first.
    for (const x of results()) x.dispose();
    await device.sync();
    const before = live();
    const all = results();
    await device.sync();
    // What the case makes for itself.
    const own = ["linear", "channelLinear", "attentionWeights"].includes(name) ? 1 : 0;
    expect(live() - before).toBeLessThanOrEqual(all.length + own);
  });
});

describe("transient", () => {
  it("gives back what it made, but its result and what gradients need", async () => {
    const w = leaf(0.5, 2);
    const before = live();
    let inner: T.Tensor | undefined;
    const y = T.transient(() => {
      inner = T.exp(w);
      return T.square(T.mul(T.sin(inner), 3));
    });
    expect(inner!.disposed).toBe(true);
    const gradient = T.backward(T.transient(() => T.sum(y))).get(w)!;
    const right = [0.5, 2].map((x) => 18 * Math.sin(Math.exp(x)) * Math.cos(Math.exp(x)) * Math.exp(x));
    (await numbers(gradient)).forEach((value, i) => {
      expect(value).toBeCloseTo(right[i]!, 3);
    });
    gradient.dispose();
    // The sum, which nobody has a name for.
    expect(live() - before).toBeLessThanOrEqual(1);
  });

  it("lets a graph pass through scopes of both kinds, to the end of the one that ends graphs", async () => {
    const w = leaf(3);
    const before = live();
    const gradient = T.scope(() => {
      const h = T.transient(() => T.transient(() => T.square(T.mul(w, 2))));
      return T.backward(T.transient(() => T.sum(T.exp(T.mul(h, 0.1))))).get(w)!;
    });
    expect(await gradient.item()).toBeCloseTo(Math.exp(3.6) * 0.1 * 8 * 3, 1);
    gradient.dispose();
    expect(live()).toBeLessThanOrEqual(before);
    const between = live();
    const left = T.scope(() => T.keep(T.transient(() => T.square(T.mul(w, 2)))));
    expect(() => T.backward(left)).toThrow("was given back with its scope");
    left.dispose();
    expect(live()).toBe(between);
  });

  it("takes arrays, maps and objects of results, gives everything back where it throws, and refuses promises", async () => {
    const w = leaf(1, 2);
    const before = live();
    const { a, list, map } = T.transient(() => {
      const x = T.exp(w);
      return { a: T.square(x), list: [T.sin(x)], map: new Map([["c", T.cos(x)]]) };
    });
    const total = T.transient(() => T.sum(T.add(T.add(a, list[0]!), map.get("c")!)));
    expect((await numbers(T.backward(total).get(w)!)).length).toBe(2);
    expect(() =>
      T.transient(() => {
        T.square(T.exp(w)).dense();
        throw new Error("no room, say");
      }),
    ).toThrow("no room, say");
    expect(() => T.transient(async () => 1)).toThrow("transient: ");
    expect(() => T.transient(3 as never)).toThrow("transient: part has to be a function");
    expect(live() - before).toBeLessThanOrEqual(2);
  });

  it("leaves a graph that nobody holds to nobody", () => {
    const w = leaf(1, 2);
    const before = live();
    T.transient(() => {
      T.sum(T.square(T.exp(w))).dense();
      return 1;
    });
    expect(live()).toBe(before);
  });
});

describe("memory", () => {
  it("tells by op what was held at the highest moment since it was asked last", () => {
    const before = device.memory({ profile: true });
    expect(before.profile.length).toBeLessThanOrEqual(10);
    const size = 40_000;
    T.scope(() => {
      const make = (label: string): T.Tensor => device.zeros([size], { label });
      const kept = [make("kept"), make("twice"), make("twice")];
      for (const x of kept.slice(1)) x.dispose();
      make("later");
    });
    const { profile, liveBytes, peakLiveBytes } = device.memory({ profile: true });
    const twice = profile.find(({ op }) => op === "twice")!;
    expect(twice.buffers).toBe(2);
    expect(twice.bytes).toBeGreaterThanOrEqual(8 * size);
    expect(profile.find(({ op }) => op === "kept")?.buffers).toBe(1);
    expect(profile.some(({ op }) => op === "later")).toBe(false);
    expect([...profile].sort((p, q) => q.bytes - p.bytes)).toEqual(profile);
    expect(liveBytes).toBe(before.liveBytes);
    expect(peakLiveBytes).toBeGreaterThanOrEqual(before.liveBytes + 12 * size);
    expect(device.memory({ profile: true }).profile.some(({ op }) => op === "twice")).toBe(false);
    expect(() => device.memory({ profil: true } as never)).toThrow("memory: ");
  });
});
