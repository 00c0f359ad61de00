import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { expectClose, expectNoLeak, seeded, testDevice } from "../../src/testing.ts";

const gpu = await testDevice();

interface Settings {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  readonly decoupled: boolean;
}

/** Adam and AdamW by the papers' algorithms, one number at a time. */
function reference(param: number, grads: readonly number[], s: Settings): { param: number; m: number; v: number } {
  let [p, m, v] = [param, 0, 0];
  grads.forEach((gradient, i) => {
    const t = i + 1;
    const g = s.decoupled ? gradient : gradient + s.weightDecay * p;
    if (s.decoupled) p -= s.lr * s.weightDecay * p;
    m = s.beta1 * m + (1 - s.beta1) * g;
    v = s.beta2 * v + (1 - s.beta2) * g * g;
    p -= (s.lr * (m / (1 - s.beta1 ** t))) / (Math.sqrt(v / (1 - s.beta2 ** t)) + s.eps);
  });
  return { param: p, m, v };
}

const USUAL: Settings = { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, decoupled: false };

describe("adamStep", () => {
  it.each([
    ["Adam", USUAL],
    ["Adam with weight decay", { ...USUAL, weightDecay: 0.1 }],
    ["AdamW", { ...USUAL, weightDecay: 0.1, decoupled: true }],
    ["large eps", { ...USUAL, eps: 0.1, beta2: 0.999 }],
  ])("%s follows its definition for six steps", async (_, settings) => {
    for (const size of [1, 7, 8, 130]) {
      const random = seeded(size);
      const draw = (): Float32Array => Float32Array.from({ length: size }, () => 2 * random() - 1);
      const start = draw();
      const grads = Array.from({ length: 6 }, draw);
      const param = gpu.tensor(start);
      const [expAvg, expAvgSq] = [gpu.zeros([size]), gpu.zeros([size])];
      for (const [i, grad] of grads.entries()) {
        T.adamStep({ param, grad: gpu.tensor(grad), expAvg, expAvgSq, ...settings, step: i + 1 });
      }
      const expected = Array.from(start, (value, i) =>
        reference(
          value,
          grads.map((grad) => grad[i]!),
          settings,
        ),
      );
      expectClose(
        await param.data(),
        expected.map((e) => e.param),
        { rel: 1e-6, abs: 1e-6 },
      );
      expectClose(
        await expAvg.data(),
        expected.map((e) => e.m),
        { rel: 1e-6, abs: 1e-7 },
      );
      expectClose(
        await expAvgSq.data(),
        expected.map((e) => e.v),
        { rel: 1e-6, abs: 1e-8 },
      );
    }
  });

  it("corrects the start: the first step is lr along the sign of the gradient", async () => {
    const param = gpu.zeros([4]);
    const moments = { expAvg: gpu.zeros([4]), expAvgSq: gpu.zeros([4]) };
    T.adamStep({ param, grad: gpu.tensor([1e-3, -1e3, 5, -1e-2]), ...moments, ...USUAL, beta2: 0.9999, step: 1 });
    expectClose(await param.data(), [-0.01, 0.01, -0.01, 0.01], { rel: 1e-4, abs: 0 });
  });

  it("decays by tiny rates that 1 − lr·weightDecay would round away", async () => {
    const param = gpu.ones([4]);
    const grad = gpu.zeros([4]);
    const moments = { expAvg: gpu.zeros([4]), expAvgSq: gpu.zeros([4]) };
    T.adamStep({ param, grad, ...moments, ...USUAL, lr: 1e-5, weightDecay: 0.02, decoupled: true, step: 1 });
    // f32 has steps of 6e-8 below 1.
    expectClose(await param.data(), new Array(4).fill(1 - 2e-7), { rel: 0, abs: 3.1e-8 });
  });

  it("does not change what was computed before it", async () => {
    const param = gpu.tensor([1, 2]);
    const before = param.mul(10);
    const grad = T.mul(param, 0.5);
    T.adamStep({ param, grad, expAvg: gpu.zeros([2]), expAvgSq: gpu.zeros([2]), ...USUAL, lr: 1, step: 1 });
    expectClose(await before.data(), [10, 20]);
    expectClose(await grad.data(), [0.5, 1]);
    expectClose(await param.data(), [0, 1], { rel: 1e-6, abs: 1e-6 });
  });

  it("gives back its memory", async () => {
    const state = { param: gpu.ones([5]), expAvg: gpu.zeros([5]), expAvgSq: gpu.zeros([5]) };
    await expectNoLeak(() => {
      T.adamStep({ ...state, grad: T.mul(state.param, 2), ...USUAL, step: 3 });
    });
  });

  it("names what is wrong", () => {
    const [a, b] = [gpu.zeros([2]), gpu.zeros([3])];
    const state = { param: a, grad: a, expAvg: a, expAvgSq: a, ...USUAL, step: 1 };
    expect(() => T.adamStep({ ...state, grad: b })).toThrow("adamStep: grad f32[3] does not fit the parameter f32[2]");
    expect(() => T.adamStep({ ...state, step: 0 })).toThrow("adamStep: step 0 is not a whole number from 1 on");
    expect(() => T.adamStep({ ...state, grad: gpu.zeros([2], { dtype: "i32" }) })).toThrow(
      "adamStep: takes f32, got grad i32[2]",
    );
  });
});
