import { add, backward, requireGrad, type Tensor } from "@deplsr/tensor";
import { checkOp, elementwise, expectClose, type NdArray, ndarray, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  bceWithLogits,
  charbonnierLoss,
  crossEntropy,
  l1Loss,
  mseLoss,
  type Reduction,
  smoothL1Loss,
} from "../src/index.ts";

const device = await testDevice();

/** The mean, the sum, or each of the losses that a formula gives. */
function reduced(formula: (x: number, y: number) => number, reduction: Reduction): (...inputs: NdArray[]) => NdArray {
  const each = elementwise((x, y) => formula(x!, y!));
  return (...inputs) => {
    const { data, shape } = each(...inputs);
    if (reduction === "none") return ndarray(shape, data);
    const total = data.reduce((sum, value) => sum + value, 0);
    return ndarray([], [reduction === "sum" ? total : total / data.length]);
  };
}

const LOSSES: readonly [
  string,
  (x: Tensor, y: Tensor, reduction: Reduction) => Tensor,
  (x: number, y: number) => number,
][] = [
  ["l1Loss", (x, y, reduction) => l1Loss(x, y, { reduction }), (x, y) => Math.abs(x - y)],
  ["mseLoss", (x, y, reduction) => mseLoss(x, y, { reduction }), (x, y) => (x - y) ** 2],
  [
    "smoothL1Loss",
    (x, y, reduction) => smoothL1Loss(x, y, { reduction, beta: 0.7 }),
    (x, y) => (Math.abs(x - y) < 0.7 ? (0.5 * (x - y) ** 2) / 0.7 : Math.abs(x - y) - 0.35),
  ],
  [
    "charbonnierLoss",
    (x, y, reduction) => charbonnierLoss(x, y, { reduction, eps: 1e-3 }),
    (x, y) => Math.sqrt((x - y) ** 2 + 1e-3),
  ],
  [
    "bceWithLogits",
    (x, y, reduction) => bceWithLogits(x, y, { reduction }),
    (x, y) => -y * Math.log(1 / (1 + Math.exp(-x))) - (1 - y) * Math.log(1 - 1 / (1 + Math.exp(-x))),
  ],
];

describe.each(LOSSES)("%s", (name, op, formula) => {
  it.each(["mean", "sum", "none"] as const)("agrees with its formula, %s", async (reduction) => {
    await checkOp(name, {
      op: (x, y) => op(x, y, reduction),
      reference: reduced(formula, reduction),
      inputs: [
        { shape: [3, 5], range: [-2, 2] },
        { shape: [3, 5], range: [0.05, 0.95] },
      ],
    });
  });

  it("refuses other shapes than the input's", () => {
    const wrong = (): Tensor => op(device.zeros([2, 3]), device.zeros([3]), "mean");
    expect(wrong).toThrow(`${name}: input [2, 3] and target [3] must have one shape`);
  });
});

describe("bceWithLogits", () => {
  it("does not overflow", async () => {
    const loss = bceWithLogits(device.tensor([200, -200, 200]), device.tensor([1, 0, 0]), { reduction: "none" });
    expect([...(await loss.data())]).toEqual([0, 0, 200]);
  });
});

describe("crossEntropy with targets that are ignored", () => {
  const logits = ndarray([4, 3], [1, 2, 3, 0, -1, 2, 5, 1, 1, -2, 0, 1]);
  const target = device.tensor(Int32Array.of(1, -100, 0, -100));
  const places = [
    ["made on the host", (index: Tensor) => index],
    ["made on the device", (index: Tensor) => add(index, 0)],
  ] as const;

  describe.each(places)("%s", (_, place) => {
    it.each([
      [0, "mean"],
      [0.1, "mean"],
      [0.1, "sum"],
      [0, "none"],
    ] as const)("and smoothing %f, %s", async (labelSmoothing, reduction) => {
      const classes = place(target);
      await checkOp("crossEntropy", {
        op: (x) => crossEntropy(x!, classes, { labelSmoothing, reduction }),
        reference: (x) => {
          const losses = [1, -100, 0, -100].map((label, i) => {
            const row = Array.from(x!.data.slice(3 * i, 3 * i + 3));
            const total = Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0));
            const smooth = row.reduce((sum, z) => sum + total - z, 0) / 3;
            return label === -100 ? 0 : (1 - labelSmoothing) * (total - row[label]!) + labelSmoothing * smooth;
          });
          if (reduction === "none") return ndarray([4], losses);
          return ndarray([], [losses.reduce((a, b) => a + b) / (reduction === "mean" ? 2 : 1)]);
        },
        inputs: [{ shape: [4, 3] }],
      });
    });

    it("all of them, another number, and numbers that are no class", async () => {
      const x = device.tensor(logits.data, logits.shape);
      const classes = (...values: number[]): Tensor => place(device.tensor(Int32Array.from(values)));
      expect(await crossEntropy(x, classes(-100, -100, -100, -100)).item()).toBeNaN();
      expect(await crossEntropy(x, classes(-100, -100, -100, -100), { reduction: "sum" }).item()).toBe(0);
      const two = await crossEntropy(x, classes(1, -100, 0, -100)).item();
      expect(await crossEntropy(x, classes(1, 2, 0, 2), { ignoreIndex: 2 }).item()).toBeCloseTo(two, 6);
      const wrong = async (...values: number[]): Promise<number> => crossEntropy(x, classes(...values)).item();
      await expect(wrong(0, 3, 0, 0)).rejects.toThrow(/^crossEntropy: (target|index) i32\[4\] .*holds 3, .* 0 to 2$/);
      await expect(wrong(0, -1, 0, 0)).rejects.toThrow(/^crossEntropy: (target|index) i32\[4\] .*holds -1, .* 0 to 2$/);
    });
  });
});

describe("crossEntropy", () => {
  const classes = [2, 0, 3, 3];
  const reference =
    (target: (row: number, column: number) => number) =>
    ({ data, shape }: NdArray): NdArray => {
      const [n = 0, c = 0] = shape;
      let total = 0;
      for (let row = 0; row < n; row++) {
        const logits = data.subarray(row * c, (row + 1) * c);
        const norm = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
        for (let column = 0; column < c; column++) total -= target(row, column) * (logits[column]! - norm);
      }
      return ndarray([], [total / n]);
    };
  const oneHot = (row: number, column: number): number => (classes[row] === column ? 1 : 0);
  const index = device.tensor(Int32Array.from(classes));

  it.each([0, 0.1])("agrees with its definition, label smoothing %f", async (labelSmoothing) => {
    await checkOp("crossEntropy", {
      op: (logits) => crossEntropy(logits, index, { labelSmoothing }),
      reference: reference((row, column) => (1 - labelSmoothing) * oneHot(row, column) + labelSmoothing / 5),
      inputs: [{ shape: [4, 5], range: [-3, 3] }],
    });
  });

  it("takes probabilities", async () => {
    const shares = [0.5, 0.25, 0.125, 0.125, 0];
    const target = device.tensor([...shares, ...shares, ...shares, ...shares], [4, 5]);
    await checkOp("crossEntropy", {
      op: (logits) => crossEntropy(logits, target),
      reference: reference((_, column) => shares[column]!),
      inputs: [{ shape: [4, 5], range: [-3, 3] }],
    });
  });

  it("has a bounded gradient for extreme logits", async () => {
    const logits = requireGrad(device.tensor([1e4, -1e4], [1, 2]));
    const loss = crossEntropy(logits, device.tensor(Int32Array.of(1)));
    const gradient = backward(loss).get(logits)!;
    expect(await loss.item()).toBe(2e4);
    expectClose(await gradient.data(), [1, -1]);
  });

  it("refuses targets that do not fit", () => {
    expect(() => crossEntropy(device.zeros([2, 5]), device.tensor(Int32Array.of(4, 5)))).toThrow(
      "crossEntropy: target i32[2] holds 5, logits f32[2, 5] have classes 0 to 4",
    );
    expect(() => crossEntropy(device.zeros([4, 5]), device.zeros([3], { dtype: "i32" }))).toThrow(
      "crossEntropy: logits [4, 5] must be (n, c) with target (n) or (n, c), got target [3]",
    );
  });
});
