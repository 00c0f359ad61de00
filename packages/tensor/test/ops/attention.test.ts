import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, type NdArray, testDevice } from "../../src/testing.ts";
import { attentionReference } from "../reference/attention.ts";
import { deviceWithoutSubgroups } from "../without-subgroups.ts";

const gpu = await testDevice();

interface Sizes {
  readonly batch: number[];
  readonly n: number;
  readonly m: number;
  readonly d: number;
  readonly e: number;
  /** Shapes of the bias and the mask. */
  readonly added?: readonly number[][];
  /** Not in other layouts. */
  readonly dense?: boolean;
}

/**
 * One row, one key, whole panels and tiles and one past them, as many keys as a kernel takes and more, heads for a thread's registers and wider ones; one, two and three
 * axes of batch; biases over all of them and over some.
 */
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
  { batch: [2], n: 17, m: 64, d: 8, e: 12 },
  { batch: [2], n: 3, m: 130, d: 20, e: 6, added: [[3, 130]] },
  { batch: [], n: 2, m: 300, d: 4, e: 33, added: [[2, 300]], dense: true },
  { batch: [], n: 1, m: 448, d: 3, e: 2, dense: true },
  { batch: [], n: 1, m: 449, d: 3, e: 2, dense: true },
  { batch: [], n: 1, m: 2048, d: 3, e: 2, dense: true },
  { batch: [], n: 1, m: 2049, d: 3, e: 2, dense: true },
  { batch: [2], n: 18, m: 20, d: 32, e: 32, added: [[18, 20]], dense: true },
  { batch: [2, 3], n: 9, m: 33, d: 36, e: 33, added: [[9, 33]] },
  { batch: [2], n: 3, m: 130, d: 33, e: 36, added: [[2, 3, 130], [130]], dense: true },
  { batch: [], n: 1, m: 449, d: 4, e: 33, dense: true },
];

function options(biases: readonly (T.Tensor | undefined)[], scale?: number): T.AttentionOptions {
  const [bias, mask] = biases;
  return { ...(bias && { bias }), ...(mask && { mask }), ...(scale !== undefined && { scale }) };
}

/** Gradients are those of a kernel where the backend has one, and of the definition elsewhere. */
describe.each([true, false])("attention, gradients wanted: %s", (gradient) => {
  it.each(CASES)("agrees with its definition: %j", async ({ batch, n, m, d, e, added = [], dense = false }) => {
    const scale = 0.7;
    await checkOp("attention", {
      op: (q, k, v, ...biases) => T.attention(q!, k!, v!, options(biases, scale)),
      reference: (q, k, v, ...biases) => attentionReference(scale, q as NdArray, k as NdArray, v as NdArray, ...biases),
      inputs: [[...batch, n, d], [...batch, m, d], [...batch, m, e], ...added].map((shape) => ({
        shape,
        range: [-2, 2],
      })),
      gradient,
      layouts: !dense,
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

  it("knows of every row by itself whether it has a softmax, and takes nothing from behind the last key", async () => {
    const [n, m] = [11, 21];
    const wrong = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const bias = new Float32Array(n * m);
    for (const [i, value] of wrong.entries()) bias[(3 * i + 1) * m + 20] = value;
    bias.fill(Number.NEGATIVE_INFINITY, 9 * m, 10 * m);
    const v = new Float32Array(m * 3).fill(1);
    v[m * 3 - 1] = Number.POSITIVE_INFINITY;
    const y = await T.attention(gpu.zeros([n, 5]), gpu.zeros([m, 5]), gpu.tensor(v, [m, 3]), {
      bias: gpu.tensor(bias, [n, m]),
    }).data();
    for (let i = 0; i < n; i++) {
      const [a, b, last] = y.subarray(3 * i, 3 * i + 3) as unknown as [number, number, number];
      const none = i === 1 || i === 4 || i === 9;
      expectClose([a, b], none ? [Number.NaN, Number.NaN] : [1, 1], {}, `row ${i}`);
      // Hidden it has the weight 0, and 0 · ∞ is no number, as in the definition.
      expect(last, `row ${i}`).toBe(none || i === 7 ? Number.NaN : Number.POSITIVE_INFINITY);
    }
  });

  it("goes on computing where the backend can: heads are merged into a residual, and their gradients into one tensor", async () => {
    const cpu = await T.Device.request({ backend: "cpu", threads: 1 });
    const run = async (on: T.Device): Promise<Float64Array[]> => {
      const draw = (shape: number[], seed: number): T.Tensor => {
        const rng = new T.Rng(seed);
        const count = shape.reduce((a, b) => a * b, 1);
        return on.tensor(
          Array.from({ length: count }, () => 2 * rng.uniform() - 1),
          shape,
        );
      };
      const [b, n, heads, d] = [2, 9, 3, 4];
      const [qkv, rest] = [draw([b, n, 3 * heads * d], 1), draw([b, n, heads * d], 2)];
      T.requireGrad(qkv);
      const [q, k, v] = T.chunk(qkv, 3, 2).map((part) => T.permute(T.reshape(part, [b, n, heads, d]), [0, 2, 1, 3]));
      const merged = T.reshape(T.permute(T.attention(q!, k!, v!), [0, 2, 1, 3]), [b, n, heads * d]);
      const y = T.add(rest, T.mul(merged, 2));
      const dqkv = T.backward(T.sum(T.square(T.keep(y)))).get(qkv)!;
      return [Float64Array.from(await y.data()), Float64Array.from(await dqkv.data())];
    };
    const [own, reference] = [await run(gpu), await run(cpu)];
    own.forEach((numbers, i) => {
      expectClose(numbers, reference[i]!, { rel: 2e-5, abs: 2e-5 });
    });
    cpu.destroy();
  });

  it("is the same without subgroups", async () => {
    const device = await deviceWithoutSubgroups();
    const draw = (on: T.Device, shape: number[], seed: number): T.Tensor => T.rand(on, shape, new T.Rng(seed));
    const results: Float32Array[][] = [];
    for (const on of [gpu, device]) {
      const inputs = [draw(on, [2, 9, 6], 1), draw(on, [2, 70, 6], 2), draw(on, [2, 70, 10], 3), draw(on, [9, 70], 4)];
      for (const x of inputs) T.requireGrad(x);
      const [q, k, v, bias] = inputs as [T.Tensor, T.Tensor, T.Tensor, T.Tensor];
      const y = T.keep(T.attention(q, k, v, { bias }));
      const gradients = T.backward(T.sum(T.mul(y, draw(on, [2, 9, 10], 5))));
      const all = [y, ...inputs.map((x) => gradients.get(x)!)];
      results.push(await Promise.all(all.map(async (x) => Float32Array.from(await x.data()))));
    }
    results[0]!.forEach((numbers, i) => {
      expectClose(results[1]![i]!, numbers, { rel: 2e-5, abs: 2e-5 });
    });
    device.destroy();
  });

  it.each(["rows", "columns"])(
    "reads vectors of four where all threads read the same: keys and values in %s",
    async (way) => {
      const device = await deviceWithoutSubgroups();
      const cpu = await T.Device.request({ backend: "cpu", threads: 1 });
      const [n, m] = [66, 512];
      const results: Float64Array[] = [];
      for (const on of [device, cpu]) {
        const draw = (rows: number, width: number, seed: number): T.Tensor => {
          const rng = new T.Rng(seed);
          const numbers = Float32Array.from({ length: 2 * rows * width }, () => rng.uniform() - 0.5);
          const x = on.tensor(numbers, [2, rows, width]);
          return way === "rows" ? x : T.transpose(T.contiguous(T.transpose(x, 1, 2)), 1, 2);
        };
        results.push(
          Float64Array.from(await T.attention(draw(n, 8, 1), draw(m, 8, 2), draw(m, 12, 3), { scale: 3 }).data()),
        );
        on.destroy();
      }
      expectClose(results[0]!, results[1]!, { rel: 1e-5, abs: 1e-5 });
    },
  );

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
