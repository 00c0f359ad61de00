import { gelu, Rng, relu, type Tensor } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  BatchNorm2d,
  Conv2d,
  Dropout,
  DropPath,
  Embedding,
  Identity,
  type Init,
  LayerNorm,
  Linear,
  Mlp,
  MultiheadAttention,
  Sequential,
} from "../src/index.ts";

const device = await testDevice();
const init: Init = { device, rng: new Rng(7) };

async function values(x: Tensor): Promise<number[]> {
  return Array.from(await x.data());
}

describe("Linear", () => {
  it("maps the last axis", async () => {
    const layer = new Linear(2, 3, {}, init);
    layer.loadStateDict(
      new Map([
        ["weight", device.tensor([1, 2, 3, 4, 5, 6], [3, 2])],
        ["bias", device.tensor([10, 20, 30])],
      ]),
    );
    expect(await values(layer.forward(device.tensor([1, 1, 0, 2], [2, 1, 2])))).toEqual([13, 27, 41, 14, 28, 42]);
  });

  it("starts within ±1/√in and may have no bias", async () => {
    const layer = new Linear(100, 50, {}, init);
    for (const value of [...(await values(layer.weight)), ...(await values(layer.bias!))]) {
      expect(Math.abs(value)).toBeLessThanOrEqual(0.1);
    }
    expect([...new Linear(2, 2, { bias: false }, init).parameters().keys()]).toEqual(["weight"]);
  });
});

describe("Conv2d", () => {
  it("slides its kernel with stride, padding and groups", async () => {
    const layer = new Conv2d(2, 2, [1, 2], { stride: [1, 2], padding: [0, 1], groups: 2, bias: false }, init);
    expect(layer.weight.shape).toEqual([2, 1, 1, 2]);
    layer.loadStateDict(new Map([["weight", device.tensor([1, 10, 100, 1000], [2, 1, 1, 2])]]));
    const y = layer.forward(device.tensor([1, 2, 3, 4], [1, 2, 1, 2]));
    expect(y.shape).toEqual([1, 2, 1, 2]);
    expect(await values(y)).toEqual([10, 2, 3000, 400]);
  });

  it("refuses groups that do not divide the channels", () => {
    expect(() => new Conv2d(4, 6, 3, { groups: 3 }, init)).toThrow(
      "Conv2d: groups 3 must divide the channels, in 4 and out 6",
    );
  });
});

describe("LayerNorm", () => {
  it("normalises the last axis with biased variance", async () => {
    const layer = new LayerNorm(4, { eps: 0 }, init);
    const y = await values(layer.forward(device.tensor([1, 2, 3, 4], [1, 4])));
    const std = Math.sqrt(1.25);
    expectClose(y, [-1.5 / std, -0.5 / std, 0.5 / std, 1.5 / std]);
  });
});

describe("BatchNorm2d", () => {
  const x = device.tensor([1, 3, 10, 10, 5, 7, 10, 14], [2, 2, 1, 2]); // channel means 4 and 11

  it("uses the batch's statistics in training and moves the running ones", async () => {
    const layer = new BatchNorm2d(2, { momentum: 0.5, eps: 0 }, init);
    const y = await values(layer.forward(x, { training: true }));
    const [a, b] = [Math.sqrt(5), Math.sqrt(3)];
    expectClose(y, [-3 / a, -1 / a, -1 / b, -1 / b, 1 / a, 3 / a, -1 / b, 3 / b]);
    expectClose(await values(layer.runningMean), [2, 5.5]);
    expectClose(await values(layer.runningVar), [0.5 + (0.5 * 20) / 3, 0.5 + (0.5 * 12) / 3]);
    expect(await layer.numBatchesTracked.item()).toBe(1);
    expect([...layer.buffers().keys()]).toEqual(["running_mean", "running_var", "num_batches_tracked"]);
  });

  it("uses the running statistics in inference and leaves them", async () => {
    const layer = new BatchNorm2d(2, { eps: 0 }, init);
    expectClose(await values(layer.forward(x)), [1, 3, 10, 10, 5, 7, 10, 14]);
    expect(await values(layer.runningMean)).toEqual([0, 0]);
    expect(await layer.numBatchesTracked.item()).toBe(0);
  });

  it("refuses to train on one value a channel", () => {
    const layer = new BatchNorm2d(2, {}, init);
    expect(() => layer.forward(device.zeros([1, 2, 1, 1]), { training: true })).toThrow(
      "BatchNorm2d: training needs more than one value for each channel, got x [1, 2, 1, 1]: use a larger batch",
    );
  });
});

describe("Embedding", () => {
  it("looks rows up", async () => {
    const layer = new Embedding(3, 2, init);
    layer.loadStateDict(new Map([["weight", device.tensor([0, 1, 10, 11, 20, 21], [3, 2])]]));
    const y = layer.forward(device.tensor(Int32Array.of(2, 0, 2, 1), [2, 2]));
    expect(y.shape).toEqual([2, 2, 2]);
    expect(await values(y)).toEqual([20, 21, 0, 1, 20, 21, 10, 11]);
  });
});

describe("Dropout", () => {
  it("does nothing in inference", () => {
    const x = device.ones([4]);
    expect(new Dropout(0.5).forward(x)).toBe(x);
    expect(new DropPath(0.5).forward(x)).toBe(x);
  });

  it("drops values in training and scales the others", async () => {
    const mode = { training: true, rng: new Rng(1) };
    const y = await values(new Dropout(0.25).forward(device.ones([4000]), mode));
    const kept = y.filter((value) => value !== 0);
    expectClose(kept, new Array(kept.length).fill(1 / 0.75));
    expect(Math.abs(kept.length / 4000 - 0.75)).toBeLessThan(0.03);
  });

  it("drops whole samples along a path", async () => {
    const y = await values(new DropPath(0.5).forward(device.ones([64, 3]), { training: true, rng: new Rng(1) }));
    let dropped = 0;
    for (let row = 0; row < 64; row++) {
      const sample = y.slice(3 * row, 3 * row + 3);
      expect([
        [0, 0, 0],
        [2, 2, 2],
      ]).toContainEqual(sample);
      if (sample[0] === 0) dropped++;
    }
    expect(dropped).toBeGreaterThan(15);
    expect(dropped).toBeLessThan(49);
  });

  it("asks for a generator and for a probability", () => {
    const x = device.ones([1]);
    expect(() => new Dropout(0.5).forward(x, { training: true })).toThrow("pass { training: true, rng }");
    expect(() => new DropPath(1)).toThrow("DropPath: probability 1 is not in [0, 1)");
  });
});

describe("MultiheadAttention", () => {
  const [n, c, heads] = [3, 4, 2];
  const layer = new MultiheadAttention(c, heads, init);
  const x = device.tensor(
    Array.from({ length: n * c }, (_, i) => Math.sin(i)),
    [1, n, c],
  );

  /** Attention over plain arrays, from its definition. */
  async function reference(causal: boolean): Promise<{ y: number[]; map: number[] }> {
    const weight = await values(layer.inProjWeight);
    const bias = Array.from({ length: 3 * c }, (_, i) => 0.1 * i - 0.5);
    layer.loadStateDict(new Map([["in_proj_bias", device.tensor(bias)]]), { allowMissing: true });
    const input = await values(x);
    const row = (i: number): number[] => input.slice(i * c, (i + 1) * c);
    const project = (i: number, out: number): number =>
      row(i).reduce((sum, value, k) => sum + value * weight[out * c + k]!, bias[out]!);
    const d = c / heads;
    const map = new Array<number>(n * n).fill(0);
    const mixed = Array.from({ length: n }, () => new Array<number>(c).fill(0));
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < n; i++) {
        const scores = Array.from({ length: n }, (_, j) => {
          let score = 0;
          for (let k = h * d; k < (h + 1) * d; k++) score += project(i, k) * project(j, c + k);
          return causal && j > i ? Number.NEGATIVE_INFINITY : score / Math.sqrt(d);
        });
        const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
        for (let j = 0; j < n; j++) {
          const share = Math.exp(scores[j]!) / total;
          map[i * n + j]! += share / heads;
          for (let k = h * d; k < (h + 1) * d; k++) mixed[i]![k]! += share * project(j, 2 * c + k);
        }
      }
    }
    const outWeight = await values(layer.outProj.weight);
    const outBias = await values(layer.outProj.bias!);
    const y = mixed.flatMap((value) =>
      outBias.map((b, out) => value.reduce((sum, v, k) => sum + v * outWeight[out * c + k]!, b)),
    );
    return { y, map };
  }

  it.each([false, true])("agrees with its definition, causal %s", async (causal) => {
    const expected = await reference(causal);
    const options = causal ? ({ mask: "causal" } as const) : {};
    expectClose(await values(layer.forward(x, options)), expected.y);
    const weights = layer.weights(x, options);
    expect(weights.shape).toEqual([1, n, n]);
    expectClose(await values(weights), expected.map);
  });

  it("has the reference's names", () => {
    expect([...layer.parameters().keys()]).toEqual([
      "in_proj_weight",
      "in_proj_bias",
      "out_proj.weight",
      "out_proj.bias",
    ]);
    expect(() => new MultiheadAttention(10, 3, init)).toThrow("3 heads do not divide the width 10");
  });
});

describe("Sequential, Mlp, Identity", () => {
  it("run one after the other", async () => {
    const linear = new Linear(2, 2, {}, init);
    const x = device.tensor([0.5, -1], [1, 2]);
    const both = new Sequential(linear, relu, new Identity(), new Dropout(0.5));
    expect(await values(both.forward(x))).toEqual(await values(relu(linear.forward(x))));
  });

  it("use the given activation, GELU by default", async () => {
    const x = device.tensor([0.5, -1, 2], [1, 3]);
    const mlp = new Mlp({ input: 3, hidden: 5, output: 2 }, relu, init);
    expect(await values(mlp.forward(x))).toEqual(await values(mlp.fc2.forward(relu(mlp.fc1.forward(x)))));
    const plain = new Mlp({ input: 3, hidden: 5 }, undefined, init);
    expect(plain.forward(x).shape).toEqual([1, 3]);
    expect(await values(plain.forward(x))).toEqual(await values(plain.fc2.forward(gelu(plain.fc1.forward(x)))));
  });
});
