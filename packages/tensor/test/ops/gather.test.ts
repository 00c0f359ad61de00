import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, seeded, testDevice } from "../../src/testing.ts";
import { gatherReference, indexSelectReference, pickReference } from "../reference/indexing.ts";

const gpu = await testDevice();

/** Whole numbers below `rows`, with repeats. */
function randomIndex(count: number, rows: number, seed = 5): Int32Array {
  const random = seeded(seed);
  return Int32Array.from({ length: count }, () => Math.floor(random() * rows));
}

/** The same index without numbers on the host: its gradients go through the device's own search. */
function onDevice(index: T.Tensor): T.Tensor {
  const copy = T.add(index, 0);
  expect(copy.host).toBeUndefined();
  return copy;
}

describe.each([
  ["made on the host", (index: T.Tensor) => index],
  ["known on the device only", onDevice],
] as const)("with an index %s", (_, place) => {
  it.each([
    [
      [10, 7],
      [3, 6],
    ],
    [[10, 8], [18]],
    [[3], [5]],
    [
      [6, 2, 4],
      [2, 1, 3],
    ],
    [[1, 1], [4]],
    [[400, 16], [1000]],
    [[5, 4], []],
  ] as const)("embedding takes rows: %j by %j", async (shape, indexShape) => {
    const index = randomIndex(T.numel(indexShape), shape[0]);
    const tensor = place(gpu.tensor(index, indexShape));
    await checkOp("embedding", {
      op: (weight) => T.embedding(weight!, tensor),
      reference: indexSelectReference(shape, 0, index, indexShape),
      inputs: [{ shape }],
    });
  });

  it.each([
    [[4, 5], 1, 7],
    [[3, 5, 4], 1, 8],
    [[3, 5, 2], -2, 3],
    [[6, 3], 0, 2],
    [[2, 300, 8], 1, 2000],
  ] as const)("indexSelect takes positions of an axis: %j along %i, %i of them", async (shape, dim, count) => {
    const axis = dim < 0 ? dim + shape.length : dim;
    const index = randomIndex(count, shape[axis]!);
    const tensor = place(gpu.tensor(index));
    await checkOp("indexSelect", {
      op: (x) => T.indexSelect(x!, dim, tensor),
      reference: indexSelectReference(shape, axis, index, [count]),
      inputs: [{ shape }],
    });
  });

  it.each([
    [[3, 10], 1, [3, 6]],
    [[4, 5], 0, [7, 5]],
    [[2, 3, 4], -1, [2, 3, 1]],
    [[3, 6, 4], 1, [2, 5, 3]],
    [[9], 0, [20]],
  ] as const)("gather takes single elements: %j along %i by %j", async (shape, dim, indexShape) => {
    const axis = dim < 0 ? dim + shape.length : dim;
    const index = randomIndex(T.numel(indexShape), shape[axis]!);
    const tensor = place(gpu.tensor(index, indexShape));
    await checkOp("gather", {
      op: (x) => T.gather(x!, dim, tensor),
      reference: gatherReference(shape, axis, index, indexShape),
      inputs: [{ shape }],
    });
  });

  it.each([[[3, 10]], [[3, 10, 4]], [[5, 77, 2, 3]]])("pick takes one position for each entry: %j", async (shape) => {
    const index = randomIndex(shape[0]!, shape[1]!);
    const tensor = place(gpu.tensor(index));
    await checkOp("pick", {
      op: (x) => T.pick(x!, tensor),
      reference: pickReference(shape, index),
      inputs: [{ shape }],
    });
  });

  it("adds up gradients of one row in the same order every time", async () => {
    const tensor = place(gpu.tensor(randomIndex(700, 3)));
    const dy = gpu.tensor(
      Float32Array.from({ length: 700 * 4 }, (_, i) => Math.fround(Math.sin(i) * 1e3)),
      [700, 4],
    );
    const once = async (): Promise<number[]> => {
      const weight = T.requireGrad(gpu.zeros([3, 4]));
      return Array.from(await T.backward(T.embedding(weight, tensor), { grad: dy }).get(weight)!.data());
    };
    expect(await once()).toEqual(await once());
  });

  it("gives back its memory", async () => {
    const weight = T.requireGrad(gpu.zeros([50, 8]));
    const index = randomIndex(4000, 50);
    await expectNoLeak(() => {
      T.backward(
        T.embedding(weight, place(gpu.tensor(index)))
          .mul(2)
          .sum(),
      );
    });
  });
});

describe("embedding", () => {
  it("copies whole numbers and u32 indices too", async () => {
    const table = gpu.tensor(Int32Array.of(-1, 2 ** 30 + 1, 7, 8), [2, 2]);
    const rows = T.embedding(table, gpu.tensor(Uint32Array.of(1, 0, 1)));
    expect(rows.dtype).toBe("i32");
    expect(Array.from(await rows.data())).toEqual([7, 8, -1, 2 ** 30 + 1, 7, 8]);
  });

  it("copies and adds up f16 where the adapter has it", async () => {
    for (const cols of [3, 4]) {
      const table = gpu.tensor(
        Array.from({ length: 3 * cols }, (_, i) => i / 4),
        [3, cols],
      );
      if (!gpu.info.features.includes("shader-f16")) {
        expect(() => T.cast(table, "f16")).toThrow("has no f16");
        continue;
      }
      const weight = T.requireGrad(T.cast(table, "f16"));
      const index = gpu.tensor(Int32Array.of(2, 0, 2, 2));
      const y = T.embedding(weight, index);
      expect(y.dtype).toBe("f16");
      expectClose(await y.data(), await T.embedding(table, index).data(), { rel: 0, abs: 0 });
      expect(Array.from(await T.embedding(weight, onDevice(gpu.tensor(Int32Array.of(5)))).data())).toEqual(
        new Array(cols).fill(Number.NaN),
      );
      const dWeight = T.backward(y, { grad: T.cast(gpu.ones([4, cols]), "f16") }).get(weight)!;
      expectClose(
        await dWeight.data(),
        [1, 0, 3].flatMap((times) => new Array<number>(cols).fill(times)),
      );
    }
  });

  it("takes an index and tables without elements", async () => {
    const weight = T.requireGrad(gpu.ones([3, 2]));
    const y = T.embedding(weight, gpu.tensor(new Int32Array(0)));
    expect(y.shape).toEqual([0, 2]);
    expect(
      Array.from(
        await T.backward(y, { grad: gpu.zeros([0, 2]) })
          .get(weight)!
          .data(),
      ),
    ).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("names an index that is out of range, and reads NaN where only the device knows it", async () => {
    const weight = gpu.ones([3, 2]);
    const index = gpu.tensor(Int32Array.of(0, 3));
    expect(() => T.embedding(weight, index)).toThrow(
      "embedding: index i32[2] holds 3, x f32[3, 2] has positions 0 to 2",
    );
    expect(() => T.pick(weight, gpu.tensor(Int32Array.of(0, -1, 0)))).toThrow("pick: index i32[3] holds -1");
    expectClose(await T.embedding(weight, onDevice(index)).data(), [1, 1, Number.NaN, Number.NaN]);
  });

  it("names what else is wrong", () => {
    const x = gpu.ones([3, 2]);
    expect(() => T.embedding(x, gpu.tensor([0, 1]))).toThrow("embedding: index f32[2] must be i32 or u32; cast it");
    expect(() => T.gather(x, 1, gpu.tensor(Int32Array.of(0)))).toThrow(
      "gather: index i32[1] does not fit x f32[3, 2] along dim 1",
    );
    expect(() => T.gather(x, 1, gpu.tensor(new Int32Array(4), [4, 1]))).toThrow("does not fit x f32[3, 2]");
    expect(() => T.pick(x, gpu.tensor(Int32Array.of(0)))).toThrow("pick: index i32[1] does not name one position");
    expect(() => T.indexSelect(x, 0, gpu.tensor(new Int32Array(4), [2, 2]))).toThrow("takes an index of one axis");
  });
});

describe("countDistinct", () => {
  it.each([[1], [7], [64], [1000], [12_288]])("counts the values of each of three entries of %i", async (size) => {
    const random = seeded(size);
    const ranges = [1, 12, 256];
    const values = ranges.flatMap((range) =>
      Array.from({ length: size }, () => Math.floor(random() * range) * (range === 12 ? 23 : 1)),
    );
    const expected = ranges.map((_, i) => new Set(values.slice(i * size, (i + 1) * size)).size);
    expect(Array.from(await T.countDistinct(gpu.tensor(values, [3, size])).data())).toEqual(expected);
  });

  it("reads several axes, and views", async () => {
    const x = gpu.tensor([0, 255, 0, 255, 1, 2, 3, 4], [2, 2, 2]);
    expect(Array.from(await T.countDistinct(x).data())).toEqual([2, 4]);
    expect(Array.from(await T.countDistinct(T.permute(x, [2, 1, 0])).data())).toEqual([3, 3]);
    expect(() => T.countDistinct(gpu.tensor(1))).toThrow("countDistinct: x f32[] has no axis for the batch");
  });
});
