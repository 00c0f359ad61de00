import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { numel } from "../../src/shape.ts";
import { checkOp, expectClose, expectNoLeak, type NdArray, ndarray, seeded, testDevice } from "../../src/testing.ts";
import { attentionGradReference, attentionReference } from "../reference/attention.ts";

const device = await testDevice();
const { NEGATIVE_INFINITY: none, NaN: nan } = Number;

interface Sizes {
  readonly batch?: readonly number[];
  readonly n: number;
  readonly m: number;
  readonly d: number;
  readonly e: number;
  readonly bias?: readonly number[];
  readonly mask?: readonly number[];
  /** What the mask is. */
  readonly kind?: "numbers" | "constant" | "truth" | "causal";
  readonly range?: number;
  /** Whether neighbours in memory belong to neighbouring queries, keys and values, as in windows of an image. */
  readonly across?: boolean;
}

/** Axes of batch from none to four; sizes around the tiles; several blocks of queries; biases over all of the batch and over some. */
const CASES: readonly Sizes[] = [
  { n: 1, m: 1, d: 1, e: 1, bias: [1, 1] },
  { n: 3, m: 7, d: 5, e: 16, bias: [3, 7] },
  { n: 7, m: 3, d: 16, e: 5 },
  { n: 16, m: 16, d: 30, e: 1, kind: "causal" },
  { n: 33, m: 33, d: 5, e: 30, kind: "causal", bias: [33, 33] },
  { n: 33, m: 16, d: 64, e: 16, mask: [33, 16], kind: "truth" },
  { n: 197, m: 197, d: 64, e: 64 },
  { n: 256, m: 33, d: 1, e: 64, bias: [256, 33] },
  { n: 1, m: 256, d: 16, e: 16, bias: [256] },
  { n: 7, m: 12, d: 4, e: 4, bias: [7, 1] },
  { batch: [1], n: 3, m: 33, d: 16, e: 1, bias: [33] },
  { batch: [5], n: 16, m: 7, d: 30, e: 5, bias: [5, 16, 7] },
  { batch: [40], n: 7, m: 16, d: 5, e: 5, bias: [7, 16] },
  { batch: [3], n: 50, m: 50, d: 64, e: 64, mask: [3, 1, 50], kind: "truth" },
  { batch: [2, 3], n: 33, m: 197, d: 16, e: 30, bias: [3, 33, 197] },
  { batch: [2, 3], n: 16, m: 16, d: 5, e: 5, bias: [2, 1, 16, 16], mask: [3, 16, 16], kind: "numbers" },
  { batch: [2, 4, 3], n: 33, m: 33, d: 10, e: 10, bias: [3, 33, 33], mask: [4, 1, 33, 33], kind: "constant" },
  { batch: [2, 4, 3], n: 16, m: 33, d: 10, e: 10, bias: [3, 16, 33], mask: [4, 1, 16, 33], kind: "numbers" },
  { batch: [2, 2, 3], n: 7, m: 7, d: 3, e: 4, bias: [2, 1, 1, 7, 7], mask: [3, 7, 7], kind: "numbers" },
  { batch: [2, 3, 2, 2], n: 5, m: 6, d: 3, e: 4, bias: [3, 1, 2, 5, 6], mask: [2, 1, 2, 1, 5, 6], kind: "numbers" },
  { batch: [2], n: 16, m: 33, d: 5, e: 5, bias: [16, 33], range: 100 },
  { n: 1500, m: 700, d: 5, e: 3, bias: [1500, 700] },
  { batch: [17], n: 256, m: 256, d: 2, e: 3, bias: [256, 256] },
  { batch: [4], n: 130, m: 128, d: 8, e: 8 },
  { batch: [4], n: 130, m: 128, d: 8, e: 8, bias: [130, 128], across: true },
];

describe("the gradient of attention", () => {
  it.each(CASES)("agrees with its definition: %j", async (sizes) => {
    const { batch = [], n, m, d, e, bias, mask, kind, range = 2, across } = sizes;
    const random = seeded(n + m);
    const draw = (shape: readonly number[], size = 1): NdArray =>
      ndarray(
        shape,
        Float32Array.from({ length: numel(shape) }, () => size * (2 * random() - 1)),
      );
    const [q, k] = [draw([...batch, n, d], range), draw([...batch, m, d], range)];
    const v = draw([...batch, m, e]);
    const dy = draw([...batch, n, e]);
    const truths =
      mask && Float64Array.from({ length: numel(mask) }, (_, i) => (i % m === 0 || random() < 0.5 ? 1 : 0));
    const hidden = (shown: Float64Array): Float64Array => shown.map((x) => (x ? 0 : none));
    const causal = ndarray(
      [n, m],
      Float64Array.from({ length: n * m }, (_, at) => (at % m > Math.floor(at / m) ? none : 0)),
    );
    const maskArray =
      kind === "causal" ? causal : mask && (kind === "truth" ? ndarray(mask, hidden(truths!)) : draw(mask, 2));
    const biasArray = bias && draw(bias, 2);
    const added = [biasArray, maskArray].filter((x) => x !== undefined);
    const tensor = ({ shape, data }: NdArray): T.Tensor => device.tensor(data, shape);
    const leaf = (x: NdArray): T.Tensor => T.requireGrad(tensor(x));
    const flip = (x: T.Tensor): T.Tensor => T.transpose(x, -1, -2);
    const lying = (x: NdArray): T.Tensor => (across ? T.requireGrad(flip(T.contiguous(flip(tensor(x))))) : leaf(x));
    const leaves = [lying(q), lying(k), lying(v), ...(biasArray ? [leaf(biasArray)] : [])];
    if (kind === "numbers") leaves.push(leaf(maskArray!));
    const maskTensor =
      kind === "causal"
        ? ("causal" as const)
        : kind === "truth"
          ? T.cast(device.tensor(truths!, mask!), "bool")
          : kind === "numbers"
            ? leaves.at(-1)!
            : maskArray && tensor(maskArray);
    const y = T.attention(leaves[0]!, leaves[1]!, leaves[2]!, {
      scale: 0.7,
      ...(biasArray && { bias: leaves[3]! }),
      ...(maskTensor && { mask: maskTensor }),
    });
    expectClose(await y.data(), attentionReference(0.7, q, k, v, ...added).data);
    const gradients = T.backward(y, { grad: tensor(dy) });
    const expected = attentionGradReference(0.7, dy, q, k, v, ...added);
    // What two large numbers leave of their difference is rounded like these.
    const rel = range > 10 ? 2e-3 : 2e-5;
    for (const [i, leaf] of leaves.entries()) {
      const own = gradients.get(leaf)!;
      expect(own.shape).toEqual(leaf.shape);
      expectClose(await own.data(), expected[i]!.data, { rel, abs: 2e-6 }, `gradient ${i}`);
    }
    for (const x of [...gradients.values(), ...leaves, y]) x.dispose();
  });

  it("agrees with central differences, however its operands lie", async () => {
    await checkOp("attention", {
      op: (q, k, v, bias, mask) => T.attention(q!, k!, v!, { scale: 0.7, bias: bias!, mask: mask! }),
      reference: (...[q, k, v, ...biases]) => attentionReference(0.7, q!, k!, v!, ...biases),
      inputs: [
        [2, 2, 7, 5],
        [2, 2, 9, 5],
        [2, 2, 9, 3],
        [2, 7, 9],
        [2, 1, 7, 9],
      ].map((shape) => ({ shape, range: [-2, 2] })),
    });
  });

  it("goes to keys and values of another batch, which are broadcast", async () => {
    await checkOp("attention", {
      op: (q, k, v) => T.attention(q!, k!, v!, { scale: 0.7 }),
      reference: (q, k, v) => {
        const twice = ({ shape, data }: NdArray): NdArray => ndarray([2, ...shape], [...data, ...data]);
        return attentionReference(0.7, q!, twice(k!), twice(v!));
      },
      inputs: [
        [2, 4, 3],
        [5, 3],
        [5, 2],
      ].map((shape) => ({ shape, range: [-2, 2] })),
    });
  });

  it("is 0 of queries and keys, and that of the bias alone, where the scale is 0", async () => {
    const draw = (shape: number[], seed: number): T.Tensor =>
      T.requireGrad(T.keep(T.randn(device, shape, new T.Rng(seed))));
    const [q, k, v, bias] = [draw([3, 4], 1), draw([5, 4], 2), draw([5, 2], 3), draw([3, 5], 4)] as const;
    const own = T.backward(T.sum(T.square(T.attention(q, k, v, { bias, scale: 0 }))));
    const apart = T.backward(T.sum(T.square(T.matmul(T.softmax(bias, -1), v))));
    expect([...(await own.get(q)!.data()), ...(await own.get(k)!.data())].map(Math.abs)).toEqual(new Array(32).fill(0));
    for (const x of [v, bias]) expectClose(await own.get(x)!.data(), await apart.get(x)!.data());
  });

  it("goes to those that want one only", async () => {
    const draw = (...shape: number[]): T.Tensor => T.randn(device, shape, new T.Rng(shape.length));
    const [x, bias] = [draw(2, 6, 4), T.requireGrad(draw(6, 6))];
    const only = T.backward(T.sum(T.square(T.attention(x, x, x, { bias }))));
    expect([...only.keys()]).toEqual([bias]);
    const leaf = T.requireGrad(draw(2, 6, 4));
    const frozen = T.detach(bias);
    const both = T.backward(T.sum(T.square(T.attention(leaf, x, leaf, { bias: frozen }))));
    const apart = T.matmul(T.attentionWeights(leaf, x, { bias: frozen }), leaf);
    expectClose(
      await both.get(leaf)!.data(),
      await T.backward(T.sum(T.square(apart)))
        .get(leaf)!
        .data(),
    );
  });

  it("is finite at scores of ±1e4, 0 of hidden keys, and NaN where all keys are hidden", async () => {
    const run = async (q: T.Tensor, mask?: T.Tensor): Promise<number[][]> => {
      const leaves = [q, device.tensor([1, -1, 1], [3, 1]), device.tensor([2, 3, 5], [3, 1])].map((x) =>
        T.requireGrad(x),
      );
      const [a, b, c] = leaves as [T.Tensor, T.Tensor, T.Tensor];
      const gradients = T.backward(T.sum(T.attention(a, b, c, mask ? { mask } : {})));
      return Promise.all(leaves.map(async (leaf) => [...(await gradients.get(leaf)!.data())]));
    };
    const [dq, , dv] = await run(device.tensor([1e4, -1e4], [2, 1]));
    expectClose(dq!, [0, 0]);
    expectClose(dv!, [0.5, 1, 0.5]);
    const some = await run(device.tensor([1, 2], [2, 1]), T.cast(device.tensor([1, 1, 0, 0, 1, 0], [2, 3]), "bool"));
    expect(some.flat().every(Number.isFinite)).toBe(true);
    expect([some[1]![2], some[2]![2]]).toEqual([0, 0]);
    const all = await run(device.tensor([1, 2], [2, 1]), T.cast(device.tensor([1, 1, 0, 0, 0, 0], [2, 3]), "bool"));
    expect(Number.isFinite(all[0]![0])).toBe(true);
    expect([all[0]![1], ...all[1]!, ...all[2]!]).toEqual(new Array(7).fill(nan));
  });

  it("comes twice where the graph is retained, and out of checkpoints", async () => {
    const draw = (...shape: number[]): T.Tensor => T.randn(device, shape, new T.Rng(shape[0]!));
    const leaves = [draw(2, 9, 6), draw(3, 9, 6).narrow(0, 1, 2), draw(9, 9)].map((x) => T.requireGrad(x));
    const block = (...[q, k, bias]: T.Tensor[]): T.Tensor => T.attention(q!, k!, k!, { bias: bias!, mask: "causal" });
    const apart = (...[q, k, bias]: T.Tensor[]): T.Tensor =>
      T.matmul(T.attentionWeights(q!, k!, { bias: bias!, mask: "causal" }), k!);
    const numbers = async (gradients: Map<T.Tensor, T.Tensor>): Promise<number[][]> =>
      Promise.all(leaves.map(async (leaf) => [...(await gradients.get(leaf)!.data())]));
    const expected = await numbers(T.backward(T.sum(T.square(apart(...leaves)))));
    const loss = T.sum(T.square(block(...leaves)));
    const first = await numbers(T.backward(loss, { retainGraph: true }));
    expect(await numbers(T.backward(loss))).toEqual(first);
    const outer = T.checkpoint((...inputs) => T.checkpoint(block, ...inputs), ...leaves);
    const within = T.sum(T.square(outer));
    const recomputed = await numbers(T.backward(within, { retainGraph: true }));
    expect(await numbers(T.backward(within))).toEqual(recomputed);
    first.forEach((gradient, i) => {
      expectClose(gradient, expected[i]!, {}, `gradient ${i}`);
      expectClose(recomputed[i]!, first[i]!, {}, `gradient ${i} of a checkpoint`);
    });
  });

  it("is that of the values of then, whatever is written in between", async () => {
    const run = async (write: boolean): Promise<number[]> => {
      const q = T.requireGrad(T.randn(device, [5, 4], new T.Rng(1)));
      const k = T.randn(device, [6, 4], new T.Rng(2));
      const shown = Float32Array.from({ length: 30 }, (_, i) => (i % 6 === 0 || i % 4 > 1 ? 1 : 0));
      const mask = T.clone(T.cast(device.tensor(shown, [5, 6]), "bool"));
      const y = T.sum(T.square(T.attention(T.mul(q, 2), k, k, { mask })));
      if (write) {
        T.assign(k, device.zeros([6, 4]));
        T.assign(mask, T.cast(device.zeros([5, 6]), "bool"));
      }
      return [...(await T.backward(y).get(q)!.data())];
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("keeps no map, and gives back its memory", async () => {
    const q = T.requireGrad(T.randn(device, [4, 300, 8], new T.Rng(1)));
    const bias = T.requireGrad(device.zeros([300, 300]));
    const map = 4 * 4 * 300 * 300;
    await T.attention(q, q, q, { bias }).data();
    const before = device.memory().liveBytes;
    T.scope(() => {
      const y = T.attention(q, q, q, { bias });
      y.view(); // what waits holds what it reads
      expect(device.memory().liveBytes - before).toBeLessThan(map / 4);
      T.backward(T.sum(y));
    });
    await expectNoLeak(() => {
      T.backward(T.sum(T.square(T.attention(q, q, q, { bias, mask: "causal" }))));
    });
  });
});
