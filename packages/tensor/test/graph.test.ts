import { describe, expect, it } from "vitest";
import * as T from "../src/index.ts";
import { expectClose, testDevice } from "../src/testing.ts";

const device = await testDevice();
const numbers = async (x: T.Tensor | undefined): Promise<number[]> => [...(await x!.data())];
const leaf = (...values: number[]): T.Tensor => T.requireGrad(device.tensor(values));

describe("a second backward", () => {
  /** Parts of a graph that two losses share, by the op that the user called. */
  const shared: Readonly<Record<string, (w: T.Tensor) => T.Tensor>> = {
    mul: (w) => T.mul(w, 3),
    linear: (w) => T.linear(T.reshape(device.ones([2]), [1, 2]), T.expand(w, [2, 2]), device.ones([2])),
    softmax: (w) => T.softmax(T.expand(w, [2, 2]), 0),
    split: (w) => T.split(T.expand(w, [2, 2]), 1, 0)[1]!,
    conv2d: (w) => T.conv2d(device.ones([1, 1, 2, 2]), T.expand(w, [2, 1, 1, 1]), { bias: device.ones([2]) }),
    layerNorm: (w) => T.layerNorm(device.tensor([1, 2, 3, 4], [2, 2]), { weight: T.expand(w, [2]) }),
    batchNorm: (w) => T.batchNorm(device.tensor([1, 2, 3, 5], [2, 2]), { weight: T.expand(w, [2]) }).y,
    embedding: (w) => T.embedding(w, device.tensor(Int32Array.of(0, 0))),
    attention: (w) => T.attention(T.expand(w, [3, 2]), T.expand(w, [3, 2]), device.ones([3, 2])),
    rearrange: (w) => T.rearrange(T.expand(w, [2, 3]), "a b -> (b a)"),
    pad: (w) => T.pad(w, [[1, 1]]),
    mean: (w) => T.mean(T.expand(w, [2, 3]), { dim: 0 }),
    checkpoint: (w) => T.checkpoint((x) => T.tanh(T.mul(x, x)), w),
  };
  it.each(Object.entries(shared))("is of no use where nothing wants a gradient: %s", (_, part) => {
    expect(part(device.tensor([2])).requiresGrad).toBe(false);
  });

  it.each(Object.entries(shared))("is refused by the name of what the user called: %s", (op, part) => {
    const w = leaf(2);
    const h = part(w);
    const [first, second] = [T.sum(T.square(h)), T.sum(h)];
    T.backward(first);
    expect(() => T.backward(second)).toThrow(
      new RegExp(`^backward: the graph behind f32\\[\\] \\(made by \`sum\`\\) ends at \`${op}\` .* retainGraph: true`),
    );
    expect(() => T.backward(first)).toThrow("ends at `sum`");
  });

  it.each(Object.entries(shared))(
    "works one after the other where the first retains the graph: %s",
    async (_, part) => {
      const gradients = async (
        work: (first: T.Tensor, second: T.Tensor) => Map<T.Tensor, T.Tensor>[],
        w = leaf(2),
      ): Promise<number[][]> => {
        const h = part(w);
        const maps = work(T.sum(T.square(h)), T.sum(T.mul(h, device.full(h.shape, 3))));
        return Promise.all(maps.map((map) => numbers(map.get(w))));
      };
      const retainGraph = true;
      const [alone] = await gradients((first) => [T.backward(first)]);
      const [other] = await gradients((_, second) => [T.backward(second)]);
      const both = await gradients((first, second) => [
        T.backward(first, { retainGraph }),
        T.backward(second, { retainGraph }),
        T.backward(first, { retainGraph }),
        T.backward(first),
      ]);
      expect(both).toEqual([alone, other, alone, alone]);
    },
  );

  it("through an op on what has been given up is refused as well", () => {
    const h = T.keep(T.mul(leaf(1), 2));
    T.backward(T.sum(h));
    expect(() => T.backward(T.sum(T.exp(h)))).toThrow("ends at `mul` f32[1]");
  });
});

describe("a graph", () => {
  it("does not end where a tensor on its way is disposed of", async () => {
    const w = leaf(0.5, 2);
    const a = T.mul(w, w);
    const b = T.exp(a);
    const c = T.reshape(b, [2, 1]);
    const loss = T.sum(T.mul(c, c));
    for (const tensor of [a, b, c]) tensor.dispose();
    const noise = device.full([2], 1e9);
    // d/dw exp(2 w²) = 4 w exp(2 w²)
    const expected = [0.5, 2].map((x) => 4 * x * Math.exp(2 * x * x));
    const got = await numbers(T.backward(loss).get(w));
    noise.dispose();
    for (const [i, value] of expected.entries()) expect(got[i]! / value).toBeCloseTo(1, 5);
  });

  it("keeps the values of its forward pass, whatever is written before the backward pass", async () => {
    const [x, w] = [T.requireGrad(device.tensor([1, 2], [1, 2])), T.requireGrad(device.tensor([1, 1], [2, 1]))];
    const frozen = device.tensor([3]);
    const y = T.sum(T.mul(T.matmul(x, w), frozen));
    T.assign(w, device.tensor([100, 100], [2, 1]));
    T.assign(x, device.tensor([7, 7], [1, 2]));
    T.assign(frozen, device.tensor([-1]));
    expect(await y.item()).toBe(9);
    const gradients = T.backward(y);
    expect(await numbers(gradients.get(x))).toEqual([3, 3]);
    expect(await numbers(gradients.get(w))).toEqual([3, 6]);
  });

  it("is as deep as a program is long", async () => {
    const w = leaf(1);
    let y: T.Tensor = w;
    for (let i = 0; i < 20_000; i++) {
      const next = T.reshape(y, i % 2 === 0 ? [1, 1] : [1]);
      if (y !== w) y.dispose();
      y = next;
    }
    expect(await numbers(T.backward(T.sum(y), { retainGraph: true }).get(w))).toEqual([1]);
    y.dispose();
  });

  it("gives back what it saved when its result is disposed of", async () => {
    const own = await T.Device.request();
    const w = T.requireGrad(own.ones([100]));
    const a = T.exp(w);
    const b = T.square(a);
    const c = T.sum(b);
    for (const tensor of [a, b, c]) tensor.dispose();
    expect(own.memory().liveBuffers).toBe(1);
    own.destroy();
  });

  it("ends with its scope", () => {
    const w = leaf(1, 2);
    let y: T.Tensor | undefined;
    T.scope(() => {
      y = T.keep(T.sum(T.mul(w, w)));
    });
    expect(() => T.backward(y!)).toThrow("was given back with its scope: call backward inside of it");
  });

  it("gives each leaf a gradient of its own", async () => {
    const [a, b] = [leaf(1), leaf(2)];
    const seed = device.tensor([5]);
    const gradients = T.backward(T.add(a, b), { grad: seed });
    gradients.get(a)!.dispose();
    expect(await numbers(gradients.get(b))).toEqual([5]);
    gradients.get(b)!.dispose();
    expect(await numbers(seed)).toEqual([5]);
  });

  it("gives gradients of what is on its way, of its result, and nothing of what is not in it", async () => {
    const [w, other] = [leaf(3), leaf(4)];
    const h = T.mul(w, 2);
    const y = T.sum(T.square(h));
    const gradients = T.backward(y, { wrt: [h, w, y, other] });
    expect([await numbers(gradients.get(h)), await numbers(gradients.get(w)), await numbers(gradients.get(y))]).toEqual(
      [[12], [24], [1]],
    );
    expect(gradients.has(other)).toBe(false);
  });

  it.each([
    [
      "shape",
      () => T.backward(T.mul(leaf(1, 2), 2), { grad: device.ones([3]) }),
      "backward: grad f32[3] is not of the shape of f32[2] (made by `mul`)",
    ],
    [
      "more axes",
      () => T.backward(T.mul(leaf(1, 2), 2), { grad: device.ones([1, 2]) }),
      "backward: grad f32[1, 2] is not of the shape",
    ],
    [
      "dtype",
      () => T.backward(T.mul(leaf(1, 2), 2), { grad: device.ones([2], { dtype: "i32" }) }),
      "backward: grad i32[2] is not of the dtype of f32[2]",
    ],
    [
      "option",
      () => T.backward(T.sum(leaf(1)), { retain: true } as T.BackwardOptions),
      "backward: option retain is none of wrt, grad, retainGraph",
    ],
    [
      "gradients of gradients",
      () => T.backward(T.sum(leaf(1)), { createGraph: true } as T.BackwardOptions),
      "backward: createGraph is not supported",
    ],
    [
      "gradient of a gradient",
      () => {
        const w = leaf(2);
        return T.backward(T.sum(T.backward(T.sum(T.square(w))).get(w)!));
      },
      "gradients themselves carry no graph",
    ],
    [
      "requireGrad of whole numbers",
      () => T.requireGrad(device.tensor(Int32Array.of(1))),
      "requireGrad: i32[1] holds no floats",
    ],
    [
      "requireGrad of truth values",
      () => T.requireGrad(T.gt(device.ones([2]), 0)),
      "requireGrad: bool[2] holds no floats",
    ],
    ["freeze of a result", () => T.freeze(T.mul(leaf(1), 2)), "freeze: f32[1] (made by `mul`) is no leaf"],
  ] as const)("refuses in one line: %s", (_, work, message) => {
    expect(work).toThrow(message);
    try {
      work();
    } catch (error) {
      expect(String(error)).not.toContain("\n");
    }
  });
});

describe("checkpoint", () => {
  const rng = (): T.Rng => new T.Rng(0);
  it("of a function that returns its argument, or one of two, or a parameter", async () => {
    const w = leaf(2);
    const h = T.mul(w, 3);
    const same = T.checkpoint((x) => T.dropout(x, { p: 0, rng: rng() }), h);
    expect(same).not.toBe(h);
    expect(await numbers(T.backward(T.sum(same)).get(w))).toEqual([3]);
    for (const [which, expected] of [
      [0, [3, undefined]],
      [1, [undefined, 5]],
    ] as const) {
      const [a, b] = [leaf(1), leaf(1)];
      const gradients = T.backward(T.sum(T.checkpoint((x, y) => [x, y][which]!, T.mul(a, 3), T.mul(b, 5))));
      const got = await Promise.all([a, b].map(async (x) => gradients.has(x) && (await numbers(gradients.get(x)))[0]));
      expect(got.map((x) => x || undefined)).toEqual(expected);
    }
    const p = leaf(7);
    for (const argument of [leaf(1), device.tensor([1])]) {
      expect(
        await numbers(
          T.backward(
            T.sum(
              T.mul(
                T.checkpoint(() => p, argument),
                2,
              ),
            ),
          ).get(p),
        ),
      ).toEqual([2]);
    }
  });

  it("inside of a checkpoint, and inside of a scope", async () => {
    const w = leaf(0.3, -0.2);
    const block = (x: T.Tensor): T.Tensor => T.tanh(T.mul(x, T.add(w, x)));
    const plain = T.backward(T.sum(block(block(block(w))))).get(w);
    const nested = T.scope(() => {
      const y = T.checkpoint((x) => T.checkpoint(block, T.checkpoint(block, x)), block(w));
      return T.backward(T.sum(y)).get(w)!;
    });
    expectClose(await numbers(nested), await numbers(plain), { rel: 1e-6 });
  });

  it("carries no graph where nothing in it wants a gradient", () => {
    const x = device.tensor([1]);
    expect(T.checkpoint((y) => T.mul(y, 2), x).requiresGrad).toBe(false);
    expect(T.noGrad(() => T.checkpoint((y) => T.mul(y, 2), leaf(1))).requiresGrad).toBe(false);
    const w = leaf(1);
    expect(T.checkpoint((y) => T.mul(y, w), x).requiresGrad).toBe(true);
    expect(() => T.backward(T.sum(T.checkpoint((y) => T.noGrad(() => T.mul(y, w)), x)))).not.toThrow();
  });

  it("refuses to run again over what was written in between, and over another part of the graph", () => {
    const [w, frozen] = [leaf(2), device.tensor([5])];
    for (const written of [w, frozen]) {
      const y = T.checkpoint((x) => T.mul(T.mul(x, w), frozen), T.mul(w, 1));
      T.assign(written, device.tensor([9]));
      expect(() => T.backward(T.sum(y))).toThrow(
        "checkpoint: f32[1] (made by `tensor`) was written by `assign` after the forward pass",
      );
    }
    const outside = T.mul(w, 3);
    expect(() => T.backward(T.sum(T.checkpoint((x) => T.mul(x, outside), leaf(1))))).toThrow(
      "checkpoint: the function takes the result of `mul` f32[1] from around it: pass it as an argument",
    );
    expect(T.recomputing()).toBe(false);
  });

  it("takes the values of its arguments as they were", async () => {
    const x = leaf(3);
    const y = T.checkpoint((v) => T.mul(v, v), x);
    T.assign(x, device.tensor([50]));
    expect(await numbers(T.backward(T.sum(y)).get(x))).toEqual([6]);
  });
});

describe("asynchronous functions", () => {
  it.each([
    ["scope", () => T.scope((async () => device.ones([1])) as unknown as () => number)],
    ["scope", () => T.scope((async () => Promise.reject(new Error("late"))) as unknown as () => number)],
    ["noGrad", () => T.noGrad((async () => device.ones([1])) as unknown as () => number)],
    ["scope", () => T.checkpoint((async (x: T.Tensor) => x) as unknown as (x: T.Tensor) => T.Tensor, leaf(1))],
  ] as const)("are refused by %s, and what they throw later is nobody's", async (op, work) => {
    const left: unknown[] = [];
    const onLeft = (reason: unknown): void => void left.push(reason);
    process.on("unhandledRejection", onLeft);
    try {
      expect(work).toThrow(/(scope|noGrad): the function is asynchronous/);
      expect(op).toMatch(/scope|noGrad/);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(left).toEqual([]);
      expect(T.gradEnabled()).toBe(true);
    } finally {
      process.off("unhandledRejection", onLeft);
    }
  });
});
