import { backward, mul, Rng, requireGrad, square, sum, type Tensor, tanh } from "@deplsr/tensor";
import { expectClose, expectNoLeak, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { Adam, AdamW, Linear, mseLoss, parameter, Sequential } from "../../src/index.ts";

const device = await testDevice();
const factors = device.tensor([1, 2, 3]);

function start(): Tensor {
  return requireGrad(device.tensor([1, -2, 0.5]));
}

/** Gradients of Σ k·p². */
function gradients(p: Tensor): Map<Tensor, Tensor> {
  return backward(sum(mul(factors, square(p))));
}

describe("Adam and AdamW", () => {
  it("give the published numbers after three steps", async () => {
    const p = start();
    const adam = new Adam([{ params: [p], lr: 0.1, betas: [0.9, 0.99], eps: 1e-8 }]);
    for (let step = 0; step < 3; step++) adam.step(gradients(p));
    expectClose(await p.data(), [0.701497197, -1.700580358, 0.204684734], { rel: 0, abs: 2e-6 });

    const q = start();
    const adamW = new AdamW([{ params: [q], lr: 0.1, betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.2 }]);
    for (let step = 0; step < 3; step++) adamW.step(gradients(q));
    expectClose(await q.data(), [0.648976386, -1.589165092, 0.181820422], { rel: 0, abs: 2e-6 });
  });

  it("leave parameters without a gradient alone and do not count the step", async () => {
    const [p, q] = [start(), start()];
    const adam = new Adam([
      {
        params: new Map([
          ["p", p],
          ["q", q],
        ]),
        lr: 0.1,
      },
    ]);
    adam.step(gradients(p));
    expect(await q.data()).toEqual(Float32Array.of(1, -2, 0.5));
    expect(adam.stateDict().scalars.steps).toEqual({ p: 1, q: 0 });
  });

  it("keep settings for each group", async () => {
    const [p, q] = [start(), start()];
    const adam = new Adam([
      { params: [p], lr: 0.1 },
      { params: [q], lr: 0 },
    ]);
    adam.step(new Map([...gradients(p), ...gradients(q)]));
    expect(await q.data()).toEqual(Float32Array.of(1, -2, 0.5));
    expectClose(await p.data(), [0.9, -1.9, 0.4]); // the first step is lr times the sign
    adam.setLearningRate(0.2, 1);
    expect(adam.lr).toEqual([0.1, 0.2]);
    adam.setLearningRate(0.3);
    expect(adam.lr).toEqual([0.3, 0.3]);
  });

  it("continue from a saved state as if there had been no break", async () => {
    const settings = { lr: 0.1, betas: [0.9, 0.99], weightDecay: 0.1 } as const;
    const p = start();
    const one = new AdamW([{ params: new Map([["p", p]]), ...settings }]);
    one.step(gradients(p));
    const q = requireGrad(device.tensor(await p.data()));
    const two = new AdamW([{ params: new Map([["p", q]]), ...settings, lr: 5 }]);
    two.loadStateDict(one.stateDict());
    one.step(gradients(p));
    two.step(gradients(q));
    expect(await q.data()).toEqual(await p.data());
  });

  it("refuse a state of other parameters, and settings out of range", () => {
    const p = start();
    const one = new Adam([{ params: new Map([["p", p]]), lr: 0.1 }]);
    const other = new Adam([{ params: new Map([["q", start()]]), lr: 0.1 }]);
    expect(() => one.loadStateDict(other.stateDict())).toThrow("Adam.loadStateDict: no step count for p");
    expect(() => new Adam([{ params: [p], lr: -1 }])).toThrow("Adam: learning rate -1 must be at least 0");
    expect(() => new Adam([{ params: [p], lr: 1, betas: [0.9, 1] }])).toThrow(
      "betas [0.9, 1] must be two numbers in [0, 1)",
    );
    expect(() => new Adam([{ params: [p, p], lr: 1 }])).toThrow("Adam: parameter 1 is given twice");
    const none = "Adam: there are no parameters to train";
    for (const groups of [[], [{ params: new Map(), lr: 1 }]]) expect(() => new Adam(groups)).toThrow(none);
    const computed = "Adam: parameter 0 is computed from others: give those";
    expect(() => new Adam([{ params: [square(p)], lr: 1 }])).toThrow(computed);
    expect(() => one.setLearningRate(Number.NaN)).toThrow("Adam: learning rate NaN must be at least 0");
    expect(() => one.setLearningRate(1, 1)).toThrow("Adam: there is no group 1, but 1 from 0 on");
    const { tensors, scalars } = one.stateDict();
    const wrong = [{ lr: [Number.NaN] }, { steps: { p: -1 } }];
    for (const change of wrong) {
      expect(() => one.loadStateDict({ tensors, scalars: { ...scalars, ...change } })).toThrow(RangeError);
    }
    expect(one.lr).toEqual([0.1]);
  });

  it("refuse gradients of which none is theirs, and do without those that are not", async () => {
    const [p, q] = [start(), start()];
    const adam = new Adam([{ params: [p], lr: 0.1 }]);
    const none = "Adam.step: none of the 1 gradients is that of one of its parameters";
    expect(() => adam.step(gradients(q))).toThrow(none);
    adam.step(new Map());
    adam.step(new Map([...gradients(p), ...gradients(q)]));
    expect(adam.stateDict().scalars.steps).toEqual({ 0: 1 });
    expect(await q.data()).toEqual(Float32Array.of(1, -2, 0.5));
  });
});

describe("training", () => {
  it("fits a small network, without leaving memory behind", async () => {
    const init = { device, rng: new Rng(11) };
    const model = new Sequential(new Linear(2, 16, {}, init), tanh, new Linear(16, 1, {}, init));
    const adam = new Adam([{ params: model.parameters(), lr: 0.03 }]);
    const x = device.tensor([0, 0, 0, 1, 1, 0, 1, 1], [4, 2]);
    const y = device.tensor([0, 1, 1, 0], [4, 1]); // exclusive or
    const step = (): void => adam.step(backward(mseLoss(model.forward(x), y)));
    await expectNoLeak(step);
    for (let i = 0; i < 150; i++) step();
    expect(await mseLoss(model.forward(x), y).item()).toBeLessThan(0.01);
    expect(parameter(device.zeros([1])).requiresGrad).toBe(true);
  });
});
