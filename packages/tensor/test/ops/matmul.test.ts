import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, ndarray, testDevice } from "../../src/testing.ts";
import { matmulReference } from "../reference/arrays.ts";
import { deviceWithoutSubgroups } from "../without-subgroups.ts";

const gpu = await testDevice();

describe("matmul", () => {
  it.each([
    [1, 1, 1],
    [3, 5, 7],
    [8, 16, 32],
    [17, 33, 36],
    [1, 4, 4],
    [13, 5, 9],
    [20, 3, 6],
    [4, 9, 1],
    [2, 3, 130],
  ])("%i x %i x %i", async (m, k, n) => {
    await checkOp("matmul", {
      op: T.matmul as (...inputs: T.Tensor[]) => T.Tensor,
      reference: matmulReference as never,
      inputs: [{ shape: [m, k] }, { shape: [k, n] }],
    });
  });

  it("works on batches", async () => {
    await checkOp("matmul", {
      op: T.matmul as (...inputs: T.Tensor[]) => T.Tensor,
      reference: matmulReference as never,
      inputs: [{ shape: [2, 3, 4, 5] }, { shape: [2, 3, 5, 6] }],
    });
  });

  it.each([
    ["", async () => gpu],
    ["without subgroups", deviceWithoutSubgroups],
  ])("reads b where and how it lies: by rows, by columns, from any element on %s", async (_, open) => {
    const device = await open();
    const values = T.rand(device, [20_000], new T.Rng(3)).sub(0.5);
    const numbers = [...(await values.data())] as number[];
    /** A matrix (k, n) among the values: its rows, or its columns, lie `rowLength` apart. */
    const lying = (k: number, n: number, from: number, rowLength: number, byColumns: boolean): T.Tensor => {
      const [rows, length] = byColumns ? [n, k] : [k, n];
      const padded = T.reshape(T.narrow(values, 0, from, rows * rowLength), [rows, rowLength]);
      const cut = T.narrow(padded, 1, 0, length);
      return byColumns ? T.transpose(cut, 0, 1) : cut;
    };
    for (const [m, k, n] of [
      [1, 4, 1],
      [3, 8, 6],
      [9, 36, 3],
      [5, 100, 36],
      [17, 516, 5],
      [2, 7, 9],
    ] as const) {
      const a = T.rand(device, [m, k], new T.Rng(m));
      const left = await a.data();
      for (const byColumns of [true, false]) {
        for (const from of [0, 4, 1]) {
          for (const pad of [0, 4, 3]) {
            const rowLength = (byColumns ? k : n) + pad;
            const right = (i: number, j: number): number =>
              numbers[from + (byColumns ? j * rowLength + i : i * rowLength + j)]!;
            const expected = Float64Array.from({ length: m * n }, (_, at) => {
              let sum = 0;
              for (let i = 0; i < k; i++) sum += left[Math.floor(at / n) * k + i]! * right(i, at % n);
              return sum;
            });
            const y = await T.matmul(a, lying(k, n, from, rowLength, byColumns)).data();
            expectClose(y, expected, { rel: 1e-5, abs: 1e-5 });
          }
        }
      }
    }
    if (device !== gpu) device.destroy();
  });

  it("takes more rows than one launch has workgroups for", async () => {
    const rows = 65_535 * 8 + 9;
    const y = T.matmul(gpu.arange(rows).reshape([rows, 1]), gpu.tensor([1, 2, 0, -1], [1, 4]));
    expectClose(
      await T.narrow(y, 0, rows - 2, 2).data(),
      [rows - 2, 2 * rows - 4, 0, 2 - rows, rows - 1, 2 * rows - 2, 0, 1 - rows],
      { rel: 0, abs: 0 },
    );
  });

  it("broadcasts batches, and sums the gradient of what was broadcast", async () => {
    const spread = (count: number) => (a: never, b: never) => {
      const one = b as ReturnType<typeof ndarray>;
      const many = ndarray(
        [count, ...one.shape],
        Float64Array.from({ length: count * one.data.length }, (_, i) => one.data[i % one.data.length]!),
      );
      return matmulReference(a, many);
    };
    await checkOp("matmul", {
      op: T.matmul as (...inputs: T.Tensor[]) => T.Tensor,
      reference: spread(3) as never,
      inputs: [{ shape: [3, 4, 5] }, { shape: [5, 8] }],
    });
  });

  it("takes batches that no two axes can hold", async () => {
    await checkOp("matmul", {
      op: T.matmul as (...inputs: T.Tensor[]) => T.Tensor,
      reference: matmulReference as never,
      inputs: [{ shape: [2, 3, 2, 4, 5] }, { shape: [2, 3, 2, 5, 3] }],
    });
    // A batch that is broadcast along every second axis.
    const a = T.rand(gpu, [2, 1, 2, 4, 5], new T.Rng(1));
    const b = T.rand(gpu, [1, 3, 1, 5, 3], new T.Rng(2));
    const whole = (x: T.Tensor): T.Tensor => T.expand(x, [2, 3, 2, ...x.shape.slice(-2)]).mul(1);
    expectClose(await T.matmul(a, b).data(), await T.matmul(whole(a), whole(b)).data());
    await expectNoLeak(() => {
      T.matmul(a, b);
    });
  });

  it("takes vectors as NumPy does", async () => {
    const v = gpu.tensor([1, 2, 3]);
    const m = gpu.tensor([1, 2, 3, 4, 5, 6], [3, 2]);
    expect(await T.matmul(v, v).item()).toBe(14);
    expectClose(await T.matmul(v, m).data(), [22, 28]);
    expectClose(await T.matmul(m.transpose(0, 1), v).data(), [22, 28]);
  });

  it("says which sizes differ", () => {
    expect(() => T.matmul(gpu.zeros([2, 3]), gpu.zeros([4, 5]))).toThrow(
      "matmul: inner sizes differ: a f32[2, 3] @ b f32[4, 5] (3 vs 4)",
    );
  });

  it("keeps an infinity in its own row and column", async () => {
    const a = gpu.tensor([1, 0, 0, 1], [2, 2]);
    const b = gpu.tensor([1, 2, Number.POSITIVE_INFINITY, 4], [2, 2]);
    expectClose((await T.matmul(a, b).data()).slice(2), [Number.POSITIVE_INFINITY, 4]);
  });
});
