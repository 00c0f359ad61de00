import { describe, expect, it } from "vitest";
import { uniform } from "../src/arrays.ts";
import { type Parameters, trainReference } from "../src/models/adam-reference.ts";
import { convnetGradient } from "../src/models/convnet-reference.ts";
import { mlpGradient } from "../src/models/mlp-reference.ts";
import {
  attention,
  convolution,
  convolutionInputGradient,
  convolutionWeightGradient,
  erf,
  gelu,
  layerNorm,
  matmul,
  outputSize,
  softmax,
} from "../src/reference.ts";

describe("references", () => {
  it("matmul multiplies every batch", () => {
    const y = matmul([1, 2, 3, 4, 1, 0, 0, 2], [5, 6, 7, 8, 1, 2, 3, 4], { batch: 2, rows: 2, inner: 2, cols: 2 });
    expect(Array.from(y)).toEqual([19, 22, 43, 50, 1, 2, 6, 8]);
  });

  it("convolution sees zeros beyond the edge", () => {
    const sizes = { batch: 1, channels: 1, outChannels: 2, size: 3, kernel: 3 };
    const ones = Array(9).fill(1);
    const right = [0, 0, 0, 0, 0, 1, 0, 0, 0];
    const y = convolution([1, 2, 3, 4, 5, 6, 7, 8, 9], [...ones, ...right], sizes);
    expect(Array.from(y.slice(0, 9))).toEqual([12, 21, 16, 27, 45, 33, 24, 39, 28]);
    expect(Array.from(y.slice(9))).toEqual([2, 3, 0, 5, 6, 0, 8, 9, 0]);
  });

  it("convolution's gradients are its adjoints, with strides and groups", () => {
    const sizes = { batch: 2, channels: 4, outChannels: 6, size: 5, kernel: 3, stride: 2, groups: 2 };
    expect(outputSize(sizes)).toBe(3);
    const [x, weight, dy] = [uniform(2 * 4 * 25, 1), uniform(6 * 2 * 9, 2), uniform(2 * 6 * 9, 3)];
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
      Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
    const product = dot(convolution(x, weight, sizes), dy);
    expect(dot(convolutionInputGradient(dy, weight, sizes), x)).toBeCloseTo(product, 12);
    expect(dot(convolutionWeightGradient(dy, x, sizes), weight)).toBeCloseTo(product, 12);
  });

  it("erf and gelu agree with tables", () => {
    expect(erf(0)).toBe(0);
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
    expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 14);
    expect(erf(5)).toBeCloseTo(0.9999999999984626, 13);
    expect(erf(7)).toBe(1);
    expect(gelu(1)).toBeCloseTo(0.8413447460685429, 14);
  });

  it("softmax and layerNorm work on rows", () => {
    const y = softmax([0, Math.log(3), 1000, 1000], 2);
    for (const [i, value] of [0.25, 0.75, 0.5, 0.5].entries()) expect(y[i]).toBeCloseTo(value, 14);
    const normal = layerNorm([1, 3, -5, 5], [2, 1], [0, 10]);
    const [first, second] = [1 / Math.sqrt(1 + 1e-5), 5 / Math.sqrt(25 + 1e-5)];
    for (const [i, value] of [-2 * first, first + 10, -2 * second, second + 10].entries()) {
      expect(normal[i]).toBeCloseTo(value, 14);
    }
  });

  it("attention weighs values by the softmax of scaled products", () => {
    const y = attention([2, 0, 0, 0], [1, 0, -1, 0], [1, 10, 3, 30], { heads: 1, tokens: 2, dim: 2 });
    const weight = 1 / (1 + Math.exp(-4 / Math.SQRT2));
    for (const [i, value] of [3 - 2 * weight, 30 - 20 * weight, 2, 20].entries()) expect(y[i]).toBeCloseTo(value, 12);
  });
});

describe("training", () => {
  const draw = (sizes: Readonly<Record<string, number>>): Parameters =>
    Object.fromEntries(
      Object.entries(sizes).map(([name, count], index) => [name, Float64Array.from(uniform(count, 1 + index))]),
    );
  const labels = [1, 0];

  it.each([
    {
      name: "perceptron",
      sizes: { weight0: 12, bias0: 4, weight1: 8, bias1: 2 },
      gradient: (at: Parameters) => mlpGradient(uniform(6, 0), labels, at),
    },
    {
      name: "convolutional network",
      sizes: { kernel0: 27, shift0: 3, kernel1: 108, shift1: 4, weight0: 8, bias0: 2 },
      gradient: (at: Parameters) => {
        const first = { batch: 2, channels: 1, outChannels: 3, size: 4, kernel: 3 };
        return convnetGradient(
          uniform(32, 0),
          labels,
          [first, { ...first, channels: 3, outChannels: 4, stride: 2 }],
          at,
        );
      },
    },
  ])("$name: gradients are the slopes of the loss", ({ sizes, gradient }) => {
    const { gradients } = gradient(draw(sizes));
    expect(Object.keys(gradients).sort()).toEqual(Object.keys(sizes).sort());
    for (const [name, values] of Object.entries(gradients)) {
      for (let i = 0; i < values.length; i++) {
        const [up, down] = [draw(sizes), draw(sizes)];
        up[name]![i]! += 1e-5;
        down[name]![i]! -= 1e-5;
        expect(values[i]).toBeCloseTo((gradient(up).loss - gradient(down).loss) / 2e-5, 8);
      }
    }
  });

  it("takes steps of lr at first, and lowers the loss", () => {
    const sizes = { weight0: 12, bias0: 4, weight1: 8, bias1: 2 };
    const train = (at: Parameters, steps: number): Float64Array =>
      trainReference(at, (p) => mlpGradient(uniform(6, 0), labels, p), steps, {
        lr: 0.05,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
      });
    const losses = train(draw(sizes), 20);
    expect(losses[19]).toBeLessThan(0.5 * losses[0]!);
    const once = draw(sizes);
    train(once, 1);
    for (const [i, value] of draw(sizes).bias1!.entries()) {
      expect(Math.abs(value - once.bias1![i]!)).toBeCloseTo(0.05, 6);
    }
  });
});
