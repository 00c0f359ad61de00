import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, type NdArray, testDevice } from "../../src/testing.ts";
import { attentionReference } from "../reference/attention.ts";

const gpu = await testDevice();

interface Sizes {
  readonly batch: number[];
  readonly n: number;
  readonly m: number;
  readonly d: number;
  readonly e: number;
  /** Shapes of the bias and the mask. */
  readonly added?: readonly number[][];
}

/** One row, one key, whole panels and one past them; one, two and three axes of batch; biases over all of them and over some. */
const CASES: readonly Sizes[] = [
  { batch: [], n: 1, m: 1, d: 1, e: 1 },
  { batch: [2], n: 5, m: 7, d: 3, e: 4 },
  { batch: [2, 3], n: 8, m: 8, d: 16, e: 16, added: [[3, 8, 8]] },
  { batch: [3], n: 9, m: 33, d: 6, e: 10, added: [[9, 33]] },
  {
    batch: [2, 4],
    n: 4,
    m: 13,
    d: 5,
    e: 9,
    added: [
      [4, 4, 13],
      [2, 1, 4, 13],
    ],
  },
  {
    batch: [2, 3, 2],
    n: 6,
    m: 10,
    d: 4,
    e: 3,
    added: [
      [2, 6, 10],
      [3, 1, 6, 10],
    ],
  },
];

function options(biases: readonly (T.Tensor | undefined)[], scale?: number): T.AttentionOptions {
  const [bias, mask] = biases;
  return { ...(bias && { bias }), ...(mask && { mask }), ...(scale !== undefined && { scale }) };
}

/** With gradients every backend runs the plain form; without, one that has a kernel runs that. */
describe.each([true, false])("attention, gradients wanted: %s", (gradient) => {
  it.each(CASES)("agrees with its definition: %j", async ({ batch, n, m, d, e, added = [] }) => {
    const scale = 0.7;
    await checkOp("attention", {
      op: (q, k, v, ...biases) => T.attention(q!, k!, v!, options(biases, scale)),
      reference: (q, k, v, ...biases) => attentionReference(scale, q as NdArray, k as NdArray, v as NdArray, ...biases),
      inputs: [[...batch, n, d], [...batch, m, d], [...batch, m, e], ...added].map((shape) => ({
        shape,
        range: [-2, 2],
      })),
      gradient,
    });
  });
});

describe("attention", () => {
  it("scales by 1/√d and hides later keys", async () => {
    const [q, k, v] = [
      T.rand(gpu, [2, 6, 4], new T.Rng(1)),
      T.rand(gpu, [2, 6, 4], new T.Rng(2)),
      T.rand(gpu, [2, 6, 4], new T.Rng(3)),
    ];
    const causal = await T.attention(q, k, v, { mask: "causal" }).data();
    const plain = await T.matmul(T.attentionWeights(q, k, { mask: "causal" }), v).data();
    expectClose(causal, plain);
    expectClose(causal.subarray(0, 4), (await v.data()).subarray(0, 4), {}, "the first token sees itself alone");
  });

  it("follows softmax at the extremes: scores of ±1e4, keys hidden by −∞, a row of nothing else", async () => {
    const q = gpu.tensor([1e4, -1e4, 0], [3, 1]);
    const k = gpu.tensor([1, -1], [2, 1]);
    const v = gpu.tensor([2, 3], [2, 1]);
    expectClose(await T.attention(q, k, v).data(), [2, 3, 2.5]);
    const none = Number.NEGATIVE_INFINITY;
    const bias = gpu.tensor([none, 0, 0, none, none, none], [3, 2]);
    expectClose(await T.attention(q, k, v, { bias }).data(), [3, 2, Number.NaN]);
  });

  it("gives back its memory", async () => {
    const q = gpu.zeros([2, 5, 4]);
    await expectNoLeak(() => {
      T.attention(q, q, q);
    });
  });

  it("names what is wrong", () => {
    expect(() => T.attention(gpu.zeros([4, 3]), gpu.zeros([4, 2]), gpu.zeros([4, 2]))).toThrow(
      "attention: q f32[4, 3] and k f32[4, 2] differ in their last size",
    );
  });
});
