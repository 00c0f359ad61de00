/*
 * A launch that goes on computing: each of those that can, with every kind of tree and place that its results may go to, beside the CPU backend,
 * which stores what it computes.
 */
import { describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import * as T from "../../src/index.ts";
import { testDevice } from "../../src/testing.ts";

const device = await testDevice("webgpu");
const cpu = await T.Device.request({ backend: "cpu", threads: 1 });
const { gpu } = device.backend as WebGPUBackend;
// Memory that is poisoned, as in all tests, is written by launches too.
gpu.pool.onFree = undefined;

type Make = (on: T.Device, shape: readonly number[], seed: number) => T.Tensor;
/** Like on both devices. */
const drawn: Make = (on, shape, seed) => {
  const rng = new T.Rng(seed);
  const count = shape.reduce((a, b) => a * b, 1);
  return on.tensor(
    Float32Array.from({ length: count }, () => rng.uniform() * 2 - 1),
    shape,
  );
};

/** What ends in a tree; all give (2, 3, h, w). */
const producers: readonly [name: string, shape: readonly number[], make: (on: T.Device) => T.Tensor][] = [
  ["a product, wide", [2, 3, 5, 8], (on) => T.matmul(drawn(on, [2, 3, 5, 7], 1), drawn(on, [2, 3, 7, 8], 2))],
  ["a product, ragged", [2, 3, 5, 6], (on) => T.matmul(drawn(on, [2, 1, 5, 9], 1), drawn(on, [3, 9, 6], 2))],
  [
    "a product by a transposed matrix",
    [2, 3, 4, 8],
    (on) => T.matmul(drawn(on, [2, 3, 4, 12], 1), T.transpose(drawn(on, [8, 12], 2), 0, 1)),
  ],
  [
    "a convolution, wide",
    [2, 3, 6, 8],
    (on) => T.conv2d(drawn(on, [2, 4, 6, 8], 1), drawn(on, [3, 4, 3, 3], 2), { padding: 1 }),
  ],
  [
    "a convolution with steps, ragged",
    [2, 3, 3, 5],
    (on) => T.conv2d(drawn(on, [2, 4, 5, 9], 1), drawn(on, [3, 4, 1, 1], 2), { stride: 2 }),
  ],
  [
    "a depthwise convolution",
    [2, 3, 6, 8],
    (on) => T.conv2d(drawn(on, [2, 3, 6, 8], 1), drawn(on, [3, 1, 3, 3], 2), { padding: 1, groups: 3 }),
  ],
  [
    "a depthwise convolution of a large window",
    [2, 3, 6, 7],
    (on) => T.conv2d(drawn(on, [2, 3, 6, 7], 1), drawn(on, [3, 1, 9, 9], 2), { padding: 4, groups: 3 }),
  ],
  [
    "a depthwise convolution with steps",
    [2, 3, 3, 4],
    (on) => T.conv2d(drawn(on, [2, 3, 6, 8], 1), drawn(on, [3, 1, 3, 3], 2), { padding: 1, stride: 2, groups: 3 }),
  ],
  ["a sum of rows in several matrices", [2, 3, 4, 5], (on) => T.sum(drawn(on, [6, 2, 3, 4, 5, 9], 1), [0, 5])],
  ["a sum of columns in several matrices", [2, 3, 4, 8], (on) => T.sum(drawn(on, [6, 2, 3, 7, 4, 8], 1), [0, 3])],
  ["a sum of rows", [2, 3, 4, 5], (on) => T.sum(drawn(on, [2, 3, 4, 5, 70], 1), -1)],
  ["a sum of columns", [2, 3, 4, 8], (on) => T.sum(drawn(on, [2, 3, 9, 4, 8], 1), 2)],
  ["a largest value", [2, 3, 4, 8], (on) => T.amax(drawn(on, [2, 3, 9, 4, 8], 1), 2)],
  ["a sum in parts", [2, 3, 1, 4], (on) => T.sum(drawn(on, [2, 3, 5000, 1, 4], 1), 2)],
  ["a rotation", [2, 3, 4, 8], (on) => T.roll(T.narrow(drawn(on, [2, 5, 4, 8], 1), 1, 1, 3), [1, -3], [2, 3])],
  [
    "a copy in another order",
    [2, 3, 4, 10],
    (on) => T.reshape(T.permute(drawn(on, [3, 2, 10, 2, 2], 1), [1, 0, 3, 2, 4]), [2, 3, 4, 10]),
  ],
];

/** What is computed of it, and whether all of that is one launch with it. */
const trees: readonly [name: string, launches: number, tree: (x: T.Tensor, on: T.Device) => T.Tensor][] = [
  ["bias and activation", 1, (x, on) => T.gelu(T.add(x, drawn(on, [x.shape.at(-1)!], 3)))],
  ["a factor of channels", 1, (x, on) => T.mul(x, drawn(on, [3, 1, 1], 3))],
  ["a residual", 1, (x, on) => T.add(drawn(on, x.shape, 3), T.mul(x, 0.5))],
  [
    "a residual in another order",
    1,
    (x, on) => {
      const [b, c, h, w] = x.shape as [number, number, number, number];
      return T.add(T.permute(drawn(on, [w, h, c, b], 3), [3, 2, 1, 0]), x);
    },
  ],
  ["a part of something", 1, (x, on) => T.add(x, T.narrow(drawn(on, [2, 7, ...x.shape.slice(2)], 3), 1, 2, 3))],
  ["another type", 1, (x) => T.cast(T.mul(x, 3), "i32")],
  ["a condition", 1, (x) => T.gt(x, 0)],
  ["another shape", 1, (x) => T.relu(T.reshape(T.add(x, 1), [6, -1]))],
  ["another order", 1, (x, on) => T.mul(T.permute(x, [0, 2, 3, 1]), drawn(on, [3], 3))],
  [
    "another order of what is pending",
    1,
    (x, on) => T.mul(T.permute(T.add(x, drawn(on, x.shape.slice(1), 4)), [2, 0, 3, 1]), 2),
  ],
  ["copied in another order", 1, (x) => T.reshape(T.permute(x, [1, 3, 0, 2]), [3, -1])],
  ["joined", 2, (x, on) => T.cat([T.mul(x, 2), drawn(on, x.shape, 3)], 1)],
  [
    "joined in another order",
    2,
    (x, on) => T.cat([T.permute(x, [0, 1, 3, 2]), drawn(on, [2, 3, x.shape[3]!, x.shape[2]!], 3)], 2),
  ],
  [
    "padded",
    2,
    (x) =>
      T.pad(x, [
        [0, 0],
        [1, 0],
        [0, 2],
        [1, 1],
      ]),
  ],
  // What one tree reads at two places is stored.
  ["itself in another order", 2, (x) => T.add(x, T.flip(x, 1))],
];

/** Every tree behind some, and some trees behind every one: each pair is kernels to compile. */
const [ALL, SOME] = [
  ["a product, ragged", "a convolution, wide", "a copy in another order"],
  ["bias and", "another order of", "joined in"],
];
const treesOf = (name: string): (typeof trees)[number][] =>
  trees.filter(([tree]) => ALL.includes(name) || SOME.some((some) => tree.startsWith(some)));

describe.each(producers)("%s", (name, shape, make) => {
  it.each(treesOf(name))("ends in %s", async (_, launches, tree) => {
    const compute = (on: T.Device): T.Tensor =>
      T.scope(() => {
        const x = make(on);
        expect(x.shape).toEqual(shape);
        return tree(x, on);
      });
    const right = compute(cpu);
    compute(device).dispose();
    await device.sync();
    const apart = T.scope(() => {
      const x = make(device);
      const before = gpu.queue.launches;
      x.view();
      return gpu.queue.launches - before;
    });
    const before = gpu.queue.launches;
    const found = compute(device);
    // A launch that was several stays those, and what would be read across its rows is turned round first.
    expect(gpu.queue.launches - before).toBeLessThanOrEqual(apart - 1 + launches + (name.startsWith("a copy") ? 1 : 0));
    expect([found.shape, found.dtype]).toEqual([right.shape, right.dtype]);
    const [own, wanted] = [await found.data(), await right.data()];
    wanted.forEach((value, i) => {
      const off = found.dtype === "i32" ? 1 : 1e-5 * Math.max(1, Math.abs(value)) * (found.dtype === "f32" ? 10 : 0);
      expect(Math.abs(own[i]! - value)).toBeLessThanOrEqual(off);
    });
    for (const tensor of [found, right]) tensor.dispose();
  });
});

it("stores what is read besides, by others or by a gradient, and computes nothing a third time", async () => {
  const [x, w] = [drawn(device, [6, 8], 1), T.requireGrad(drawn(device, [8, 8], 2))];
  const count = (work: () => void): number => {
    const before = gpu.queue.launches;
    T.scope(() => {
      work();
    });
    return gpu.queue.launches - before;
  };
  // Two results that are wanted: the product, and each of them.
  expect(
    count(() => {
      const y = T.noGrad(() => T.matmul(x, w));
      const [a, b] = [T.relu(y), T.exp(y)];
      a.view();
      b.view();
    }),
  ).toBe(3);
  // One after the other: with the first, by itself for the second, never again.
  expect(
    count(() => {
      const y = T.noGrad(() => T.matmul(x, w));
      for (let i = 0; i < 4; i++) T.mul(y, i).view();
    }),
  ).toBe(1 + 1 + 3);
  // A copy in another order waits for it: it is stored, copied, and read.
  expect(
    count(() => {
      const y = T.noGrad(() => T.matmul(x, w));
      const turned = T.noGrad(() => T.reshape(T.transpose(y, 0, 1), [48]));
      T.relu(y).view();
      turned.view();
    }),
  ).toBe(3);
  // Its own gradient reads it: the product, what is made of it, their sum, and back: a one, the slopes, a product.
  expect(
    count(() => {
      const gradients = T.backward(T.sum(T.exp(T.matmul(x, w))));
      gradients.get(w)!.view();
    }),
  ).toBe(6);
});

it("holds what a launch reads until that has been recorded, and no longer", async () => {
  // A device of its own: what other tests forgot comes back when the collector likes.
  const device = await T.Device.request({ backend: "webgpu" });
  const before = device.memory().liveBytes;
  const y = T.scope(() => {
    const [a, b] = [drawn(device, [64, 64], 1), drawn(device, [64, 64], 2)];
    const product = T.matmul(a, b);
    T.assign(a, device.zeros([64, 64]));
    return T.add(product, 1);
  });
  const right = T.scope(() => T.add(T.matmul(drawn(cpu, [64, 64], 1), drawn(cpu, [64, 64], 2)), 1));
  const [own, wanted] = [await y.data(), await right.data()];
  wanted.forEach((value, i) => {
    expect(own[i]!).toBeCloseTo(value, 4);
  });
  expect(device.memory().liveBytes - before).toBe(64 * 64 * 4);
  y.dispose();
  right.dispose();
  expect(device.memory().liveBytes).toBe(before);
  device.destroy();
});

it("goes by what more axes than kernels know ask for", async () => {
  const axes = [2, 3, 2, 3, 2, 3, 2, 3, 2];
  const compute = (on: T.Device): T.Tensor =>
    T.scope(() => {
      const x = T.matmul(drawn(on, [72, 5], 1), drawn(on, [5, 36], 2));
      const backwards = T.permute(
        drawn(on, [...axes].reverse(), 3),
        axes.map((_, i) => 8 - i),
      );
      return T.add(T.reshape(x, axes), backwards);
    });
  const [own, wanted] = [await compute(device).data(), await compute(cpu).data()];
  wanted.forEach((value, i) => {
    expect(own[i]!).toBeCloseTo(value, 4);
  });
});

describe("what is deferred, as the CPU computes it at once", () => {
  const programs: readonly [name: string, run: (on: T.Device) => T.Tensor][] = [
    [
      "written to before anybody has read it",
      (on) => {
        const x = T.matmul(drawn(on, [4, 4], 1), drawn(on, [4, 4], 2));
        T.assign(x, T.add(x, 1));
        return x;
      },
    ],
    [
      "overwritten before anybody has read it",
      (on) => {
        const x = T.conv2d(drawn(on, [1, 2, 4, 4], 1), drawn(on, [2, 2, 1, 1], 2));
        T.assign(x, T.mul(drawn(on, [1, 2, 4, 4], 3), 2));
        return x;
      },
    ],
    [
      "computed together",
      (on) => {
        const all = [2, 3, 4].map((seed) => T.mul(T.matmul(drawn(on, [4, 4], 1), drawn(on, [4, 4], seed)), 3));
        T.computeTogether(all);
        return T.cat(all, 0);
      },
    ],
    [
      "of parts of a lot that are written, and given back, before it is read",
      (on) => {
        const params = [1, 2, 3].map((seed) => drawn(on, [8, 9], seed));
        const [expAvg, expAvgSq] = [T.zeroMoments(params), T.zeroMoments(params)];
        const settings = { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, decoupled: false };
        const step = (n: number): void =>
          T.adamSteps(
            params.map((param, i) => ({
              ...{ param, grad: drawn(on, [8, 9], i + n), expAvg: expAvg[i]!, expAvgSq: expAvgSq[i]!, step: n },
              ...settings,
            })),
          );
        step(1);
        const sums = T.sideBySide(params).map((flat) => T.sum(flat));
        step(2);
        for (const tensor of [...params, ...expAvg, ...expAvgSq]) tensor.dispose();
        on.full([2 ** 12], 7).dispose();
        return sums.reduce((a, b) => T.add(a, b));
      },
    ],
    [
      "a copy of a copy, and so on",
      (on) => {
        let x = drawn(on, [4, 6], 1);
        for (let i = 0; i < 3000; i++) x = T.reshape(T.transpose(x, 0, 1), [4, 6]);
        return x;
      },
    ],
  ];
  it.each(programs)("%s", async (_, run) => {
    const [found, right] = [T.scope(() => run(device)), T.scope(() => run(cpu))];
    const [own, wanted] = [await found.data(), await right.data()];
    expect(own.length).toBe(wanted.length);
    wanted.forEach((value, i) => {
      expect(own[i]!).toBeCloseTo(value, 3);
    });
    found.dispose();
    right.dispose();
  });
});

it("gives memory back that was deferred itself, when what waits for it is all that is left", async () => {
  const device = await T.Device.request({ backend: "webgpu" });
  const before = device.memory().liveBytes;
  const [a, b] = [drawn(device, [64, 64], 1), drawn(device, [64, 64], 2)];
  const y = T.matmul(a, b);
  const turned = T.transpose(y, 0, 1);
  const r = T.reshape(turned, [4096]);
  await y.data();
  for (const tensor of [a, b, turned, y]) tensor.dispose();
  expect(device.memory().liveBytes - before).toBe(64 * 64 * 4);
  r.dispose();
  expect(device.memory().liveBytes).toBe(before);
  device.destroy();
});
