import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, checkUnary, elementwise, expectClose, testDevice } from "../../src/testing.ts";
import { erfReference } from "../reference/arrays.ts";

const gpu = await testDevice();
const sigma = (x: number): number => 1 / (1 + Math.exp(-x));

describe("functions of one argument", () => {
  const cases: [string, (x: T.Tensor) => T.Tensor, (x: number) => number, (readonly [number, number])?][] = [
    ["neg", T.neg, (x) => -x],
    ["exp", T.exp, Math.exp],
    ["log", T.log, Math.log, [0.1, 3]],
    ["sqrt", T.sqrt, Math.sqrt, [0.1, 3]],
    ["rsqrt", T.rsqrt, (x) => 1 / Math.sqrt(x), [0.1, 3]],
    ["square", T.square, (x) => x * x],
    ["reciprocal", T.reciprocal, (x) => 1 / x, [0.5, 3]],
    ["sin", T.sin, Math.sin],
    ["cos", T.cos, Math.cos],
    ["tanh", T.tanh, Math.tanh, [-4, 4]],
    ["sigmoid", T.sigmoid, sigma, [-9, 9]],
    ["logSigmoid", T.logSigmoid, (x) => (x < 0 ? x : 0) - Math.log1p(Math.exp(-Math.abs(x))), [-20, 20]],
    ["softplus", T.softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), [-20, 20]],
    ["erf", T.erf, erfReference, [-4, 4]],
    ["gelu", T.gelu, (x) => 0.5 * x * (1 + erfReference(x / Math.SQRT2)), [-4, 4]],
    ["quickGelu", T.quickGelu, (x) => x * sigma(1.702 * x), [-4, 4]],
    ["silu", T.silu, (x) => x * sigma(x), [-4, 4]],
    ["abs", T.abs, Math.abs],
    ["relu", T.relu, (x) => Math.max(x, 0)],
    ["leakyRelu", (x) => T.leakyRelu(x, 0.2), (x) => (x > 0 ? x : 0.2 * x)],
    ["clamp", (x) => T.clamp(x, { min: -0.7, max: 0.4 }), (x) => Math.min(0.4, Math.max(-0.7, x))],
    ["pow 2.5", (x) => T.pow(x, 2.5), (x) => x ** 2.5, [0.1, 2]],
    ["pow 4", (x) => T.pow(x, 4), (x) => x ** 4],
    ["pow 5", (x) => T.pow(x, 5), (x) => x ** 5],
    ["pow -3", (x) => T.pow(x, -3), (x) => x ** -3, [-2, -0.5]],
    ["pow 3", (x) => T.pow(x, 3), (x) => x ** 3],
  ];
  it.each(cases)("%s", async (name, op, f, range) => {
    await checkUnary(name, op, f, range ? { range } : {});
  });

  it("rounds ties to even, and rounding has no gradient", async () => {
    const x = T.requireGrad(gpu.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1.2, -1.7]));
    const y = T.round(x);
    expectClose(await y.data(), [-2, -2, -0, 0, 2, 2, 1, -2]);
    expectClose(await T.backward(y.sum()).get(x)!.data(), new Array(8).fill(0));
    expectClose(await T.floor(x).data(), [-3, -2, -1, 0, 1, 2, 1, -2]);
    expectClose(await T.sign(x).data(), [-1, -1, -1, 1, 1, 1, 1, -1]);
  });
});

describe("functions of two arguments", () => {
  const shapes: [readonly number[], readonly number[]][] = [
    [
      [3, 5],
      [3, 5],
    ],
    [[2, 3, 4], [4]],
    [
      [2, 3, 4, 5],
      [3, 1, 5],
    ],
    [
      [2, 1, 8],
      [3, 1],
    ],
    [[], [7]],
    [
      [6, 1],
      [1, 9],
    ],
  ];
  const cases: [string, (a: T.Tensor, b: T.Tensor) => T.Tensor, (a: number, b: number) => number][] = [
    ["add", T.add, (a, b) => a + b],
    ["sub", T.sub, (a, b) => a - b],
    ["mul", T.mul, (a, b) => a * b],
    ["div", T.div, (a, b) => a / b],
    ["maximum", T.maximum, Math.max],
    ["minimum", T.minimum, Math.min],
  ];
  it.each(cases)("%s broadcasts", async (name, op, f) => {
    for (const [a, b] of shapes) {
      await checkOp(name, {
        op: op as (...inputs: T.Tensor[]) => T.Tensor,
        reference: elementwise(f as (...x: number[]) => number),
        inputs: [{ shape: a }, { shape: b, range: [0.5, 2] }],
      });
    }
  });

  it("gives each side of a tie half of the gradient", async () => {
    const a = T.requireGrad(gpu.tensor([1, 2]));
    const b = T.requireGrad(gpu.tensor([1, 3]));
    const gradients = T.backward(T.maximum(a, b).sum());
    expectClose(await gradients.get(a)!.data(), [0.5, 0]);
    expectClose(await gradients.get(b)!.data(), [0.5, 1]);
  });

  it("says which shapes do not fit", () => {
    expect(() => T.add(gpu.zeros([8, 64]), gpu.zeros([8, 63]))).toThrow(
      "add: cannot broadcast a f32[8, 64] with b f32[8, 63]: dim -1 is 64 vs 63",
    );
  });
});

describe("PyTorch's treatment of NaN and infinity", () => {
  const x = gpu.tensor([Number.NaN, 1, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  it.each([
    ["relu", () => T.relu(x), [Number.NaN, 1, 0, Number.POSITIVE_INFINITY, 0]],
    ["maximum", () => T.maximum(x, 0), [Number.NaN, 1, 0, Number.POSITIVE_INFINITY, 0]],
    ["minimum", () => T.minimum(x, 0), [Number.NaN, 0, -1, 0, Number.NEGATIVE_INFINITY]],
    ["clamp", () => T.clamp(x, { min: -2, max: 2 }), [Number.NaN, 1, -1, 2, -2]],
    ["isNan", () => T.isNan(x), [1, 0, 0, 0, 0]],
    ["isFinite", () => T.isFinite(x), [0, 1, 1, 0, 0]],
    ["tanh", () => T.tanh(gpu.tensor([90, -90, 1e30, Number.NaN])), [1, -1, 1, Number.NaN]],
    ["sigmoid", () => T.sigmoid(gpu.tensor([90, -200, Number.NaN])), [1, 0, Number.NaN]],
    ["exp", () => T.exp(gpu.tensor([89, 1e9, -1e9, 0])), [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0, 1]],
    ["erf", () => T.erf(gpu.tensor([1e9, -1e9, Number.NaN])), [1, -1, Number.NaN]],
    ["amax", () => T.amax(x), [Number.NaN]],
    ["argmax", () => T.argmax(x), [0]],
  ] as [string, () => T.Tensor, number[]][])("%s", async (_, op, expected) => {
    expectClose(await op().data(), expected, { rel: 0, abs: 1e-30 });
  });

  it("NaN passes through every function", async () => {
    const ops = [
      T.neg,
      T.abs,
      T.exp,
      T.log,
      T.sqrt,
      T.rsqrt,
      T.sin,
      T.cos,
      T.tanh,
      T.sigmoid,
      T.erf,
      T.gelu,
      T.softplus,
      T.floor,
    ];
    for (const op of ops) {
      const y = await op(gpu.tensor([Number.NaN, Number.NaN, Number.NaN, Number.NaN, Number.NaN])).data();
      expect([...y].every(Number.isNaN), op(x).label).toBe(true);
    }
  });

  it("sine and cosine stay accurate far from 0", async () => {
    const values = Float32Array.from({ length: 400 }, (_, i) => (i - 200) * 9.7);
    expectClose(await T.sin(gpu.tensor(values)).data(), [...values].map(Math.sin), { rel: 0, abs: 1e-6 });
    expectClose(await T.cos(gpu.tensor(values)).data(), [...values].map(Math.cos), { rel: 0, abs: 1e-6 });
  });

  it("checkFinite names the place", async () => {
    await expect(T.checkFinite(x, "after block 3")).rejects.toThrow("holds a NaN or an infinity after block 3");
    await T.checkFinite(gpu.ones([3]), "here");
  });
});

describe("types", () => {
  it("keeps whole numbers, divides them to f32, and compares to bool", async () => {
    const i = gpu.tensor(Int32Array.of(7, -3, 2));
    expect(T.add(i, 1).dtype).toBe("i32");
    expect(T.mul(i, 0.5).dtype).toBe("f32");
    expectClose(await T.div(i, 2).data(), [3.5, -1.5, 1]);
    const positive = T.gt(i, 0);
    expect(positive.dtype).toBe("bool");
    expectClose(await T.where(positive, i, 0).data(), [7, 0, 2]);
    expectClose(await T.logicalAnd(positive, T.lt(i, 5)).data(), [0, 0, 1]);
    expectClose(await T.cast(gpu.tensor([1.7, -1.7]), "i32").data(), [1, -1]);
  });

  it("casts to f16 and back where the adapter has it", async () => {
    const values = [1, 0.1, 65504, 1e-7, 1 / 3];
    if (gpu.info.features.includes("shader-f16")) {
      const half = T.cast(gpu.tensor(values), "f16");
      expectClose(await half.data(), [1, 0.0999755859375, 65504, 1.1920928955078125e-7, 0.333251953125], {
        rel: 0,
        abs: 1e-12,
      });
      expectClose(
        await half.mul(2).data(),
        [2, 0.199951171875, Number.POSITIVE_INFINITY, 2.384185791015625e-7, 0.66650390625],
        {
          rel: 0,
          abs: 1e-12,
        },
      );
    } else {
      expect(() => T.cast(gpu.tensor(values), "f16")).toThrow("has no f16");
    }
  });
});

describe("fusion", () => {
  it("runs a chain as one launch and recomputes cheap values", async () => {
    const x = gpu.tensor([0.5, -1, 2]);
    const y = T.gelu(x.mul(3).add(1));
    expectClose(
      await y.data(),
      [2.5, -2, 7].map((v) => 0.5 * v * (1 + erfReference(v / Math.SQRT2))),
    );
  });

  it("stores what would need too many operands", async () => {
    const parts = Array.from({ length: 20 }, (_, i) => gpu.full([5], i + 1));
    const total = parts.reduce((a, b) => a.add(b));
    expectClose(await total.data(), new Array(5).fill(210));
  });

  it("ignores what reduce and map pass besides", async () => {
    const parts = [1, 2, 3].map((value) => T.requireGrad(gpu.tensor([value])));
    const total = parts.reduce(T.add);
    expectClose(await T.backward(total).get(parts[2]!)!.data(), [1]);
    expectClose(await total.data(), [6]);
  });

  it("computes what waits for a parameter before the parameter is written", async () => {
    const p = gpu.tensor([1, 2, 3]);
    const before = p.mul(10);
    T.assign(p, gpu.tensor([4, 5, 6]));
    expectClose(await before.data(), [10, 20, 30]);
    expectClose(await p.mul(10).data(), [40, 50, 60]);
  });

  it("makes an op of any formula, with its gradient", async () => {
    const swish = T.pointwise<[T.Tensor, T.Tensor]>("swish", (x, beta) => T.E.mul(x!, T.E.sigmoid(T.E.mul(beta!, x!))));
    await checkOp("swish", {
      op: swish as (...inputs: T.Tensor[]) => T.Tensor,
      reference: elementwise((x, beta) => x! * sigma(beta! * x!)),
      inputs: [{ shape: [4, 6] }, { shape: [6] }],
    });
  });
});
