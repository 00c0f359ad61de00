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
      const outside = T.embedding(weight, onDevice(gpu.tensor(Int32Array.of(5))));
      await expect(outside.data()).rejects.toThrow("holds 5");
      expect(Array.from(await outside.data())).toEqual(new Array(cols).fill(Number.NaN));
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

  it("names an index that is out of range, at the next read where only the device knows it", async () => {
    const weight = gpu.ones([3, 2]);
    const index = gpu.tensor(Int32Array.of(0, 3));
    expect(() => T.embedding(weight, index)).toThrow(
      "embedding: index i32[2] holds 3, x f32[3, 2] has positions 0 to 2",
    );
    expect(() => T.pick(weight, gpu.tensor(Int32Array.of(0, -1, 0)))).toThrow("pick: index i32[3] holds -1");
    const later = T.embedding(weight, onDevice(index));
    await expect(later.data()).rejects.toThrow(
      "embedding: index i32[2] (made by `add`) holds 3, x f32[3, 2] has positions 0 to 2",
    );
    expectClose(await later.data(), [1, 1, Number.NaN, Number.NaN]);
  });

  describe("whose index the device alone knows", () => {
    const x = gpu.ones([3, 4]);
    const i32 = (...values: number[]): T.Tensor => onDevice(gpu.tensor(Int32Array.from(values)));

    it.each([
      ["embedding", () => T.embedding(x, i32(2, -1)), "embedding: index i32[2] (made by `add`) holds -1"],
      ["indexSelect", () => T.indexSelect(x, 1, i32(4)), "indexSelect: index i32[1] (made by `add`) holds 4"],
      ["pick", () => T.pick(x, i32(0, 3, 9)), "pick: index i32[3] (made by `add`) holds 9"],
      [
        "gather",
        () => T.gather(x, 0, T.reshape(i32(2, 5), [1, 2])),
        "gather: index i32[1, 2] (made by `reshape`) holds 5",
      ],
      [
        "a view",
        () => T.embedding(x, T.slice(i32(0, 1, 7), [[1, 3]])),
        "embedding: index i32[2] (made by `slice`) holds 7",
      ],
      [
        "u32",
        () => T.embedding(x, onDevice(gpu.tensor(Uint32Array.of(2 ** 32 - 1)))),
        "embedding: index u32[1] (made by `add`) holds 4294967295",
      ],
    ] as const)("%s tells at the next read of anything, and at a sync, once", async (_, work, message) => {
      work();
      await expect(gpu.ones([1]).item()).rejects.toThrow(
        new T.ShapeError(
          `${message}, x f32[3, 4] has positions 0 to ${
            message.startsWith("indexSelect") || message.startsWith("pick") ? 3 : 2
          }`,
        ),
      );
      await gpu.sync();
      work();
      await expect(gpu.sync()).rejects.toThrow(message);
      expect(await gpu.ones([1]).item()).toBe(1);
    });

    it.each([1, 2, 63, 64, 65, 66, 99, 1000, 4096, 4097, 70000])(
      "finds one of %i wherever it stands",
      async (count) => {
        for (const at of new Set([0, count >> 1, Math.floor(count / 3), count - 1])) {
          const index = new Int32Array(count);
          T.embedding(x, onDevice(gpu.tensor(index)));
          await gpu.sync();
          index[at] = 3;
          T.embedding(x, onDevice(gpu.tensor(index)));
          await expect(gpu.sync()).rejects.toThrow("holds 3");
        }
      },
    );

    it("tells of the first of many, to all who wait", async () => {
      for (let i = 0; i < 200; i++) T.scope(() => T.detach(T.embedding(x, i32(i === 3 ? 7 : i === 150 ? 8 : 1))));
      const both = await Promise.allSettled([gpu.ones([1]).data(), gpu.sync()]);
      expect(both.map((each) => each.status === "rejected" && each.reason.message)).toEqual(
        [0, 1].map(() => "embedding: index i32[1] (made by `add`) holds 7, x f32[3, 4] has positions 0 to 2"),
      );
      await gpu.sync();
    });

    it("is looked at once, and not at all where its numbers cannot be wrong", async () => {
      const index = i32(0, 2);
      const rows = T.argmax(x, { dim: 0 });
      const host = gpu.tensor(Int32Array.of(0, 1, 2));
      T.scope(() => T.detach(T.embedding(x, index)));
      await gpu.sync();
      const before = gpu.memory().liveBuffers;
      T.scope(() => {
        T.embedding(x, index);
        T.embedding(gpu.ones([5]), index);
        T.indexSelect(x, 0, rows);
        T.max(x, 1);
        T.pick(x, host);
        T.indexSelect(x, 1, T.argmax(x, { dim: 1 }));
      });
      expect(gpu.memory().liveBuffers).toBe(before);
      T.scope(() => T.detach(T.embedding(gpu.ones([2, 1]), index)));
      expect(gpu.memory().liveBuffers).toBe(before + 2);
      await expect(gpu.sync()).rejects.toThrow("holds 2, x f32[2, 1] has positions 0 to 1");
    });
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
