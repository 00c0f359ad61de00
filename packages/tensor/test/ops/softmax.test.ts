import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, type NdArray, testDevice } from "../../src/testing.ts";
import { alongAxes, logSoftmaxRow, softmaxRow } from "../reference/rows.ts";
import { deviceWithoutSubgroups } from "../without-subgroups.ts";

const gpu = await testDevice();
const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

/** Rows that end on whole vectors and rows that do not, one element, more than a subgroup, more than a workgroup. */
const CASES: readonly [shape: number[], dim: number][] = [
  [[5], 0],
  [[1, 1], -1],
  [[3, 4], 1],
  [[2, 7, 9], -1],
  [[2, 7, 9], 1],
  [[2, 8, 3, 4], 1],
  [[3, 64], -1],
  [[2, 197], -1],
  [[300, 3], 1],
  [[2, 1300], -1],
];

describe.each([
  ["softmax", T.softmax, softmaxRow],
  ["logSoftmax", T.logSoftmax, logSoftmaxRow],
] as const)("%s", (name, op, row) => {
  it.each(CASES)("agrees with its definition: %j along %i", async (shape, dim) => {
    const axis = dim < 0 ? dim + shape.length : dim;
    await checkOp(name, {
      op: (x) => op(x!, dim),
      reference: (x) => alongAxes(x as NdArray, [axis], row),
      inputs: [{ shape, range: [-5, 5] }],
    });
  });

  it("takes a scalar and tensors without elements", async () => {
    expectClose(await op(gpu.tensor(3), 0).data(), row([3]));
    expect(op(gpu.zeros([0, 3]), 1).shape).toEqual([0, 3]);
    expect((await op(gpu.zeros([2, 0]), 1).data()).length).toBe(0);
  });

  it("gives back its memory", async () => {
    const x = T.requireGrad(gpu.zeros([3, 8]));
    await expectNoLeak(() => {
      T.backward(op(x, -1).mul(2).sum());
    });
  });

  it("names what is wrong", () => {
    expect(() => op(gpu.zeros([2, 3]), 2)).toThrow(`${name}: no dim 2 in a tensor of rank 2`);
    expect(() => op(gpu.tensor(Int32Array.of(1, 2)), 0)).toThrow(`${name}: takes f32 or f16, got x i32[2]`);
  });
});

describe("extremes", () => {
  const rows: number[][] = [
    [1e4, -1e4, 0, 1e4 - 1],
    [-1e4, -1e4, -1e4, -1e4],
    [3e38, -3e38, 0, 1],
    [-infinity, 2, -infinity, 2],
    [-infinity, -infinity, -infinity, 5],
    [100, -100, -100, 100],
  ];

  it.each([4, 5, 3])("does not overflow in rows of %i", async (length) => {
    const cut = rows.map((row) => Array.from({ length }, (_, i) => row[(i + 3) % 4]!));
    const x = gpu.tensor(cut.flat(), [rows.length, length]);
    expectClose(await T.softmax(x, -1).data(), cut.flatMap(softmaxRow));
    const logs = Array.from(await T.logSoftmax(x, -1).data());
    expectClose(
      logs,
      cut.flatMap((row) => logSoftmaxRow(row).map((value) => Math.fround(value))),
      { rel: 1e-6 },
    );
  });

  it.each([
    ["NaN", [1, nan, 2, 3]],
    ["+∞", [1, infinity, 2, 3]],
    ["nothing but −∞", [-infinity, -infinity, -infinity, -infinity]],
  ])("turns a row with %s into NaN, and no other", async (_, bad) => {
    for (const length of [4, 3]) {
      const x = gpu.tensor([...bad.slice(0, length), ...[1, 2, 3, 4].slice(0, length)], [2, length]);
      for (const [op, row] of [
        [T.softmax, softmaxRow],
        [T.logSoftmax, logSoftmaxRow],
      ] as const) {
        const expected = [...new Array<number>(length).fill(nan), ...row([1, 2, 3, 4].slice(0, length))];
        expectClose(await op(x, -1).data(), expected);
      }
    }
  });

  it("has finite gradients at ±1e4", async () => {
    const x = T.requireGrad(gpu.tensor([1e4, -1e4, 0, 1e4]));
    const dx = T.backward(
      T.softmax(x, 0)
        .mul(gpu.tensor([1, 2, 3, 4]))
        .sum(),
    ).get(x)!;
    expectClose(await dx.data(), [0.5 * (1 - 2.5), 0, 0, 0.5 * (4 - 2.5)]);
    const z = T.requireGrad(gpu.tensor([1e4, -1e4, 0, 1e4]));
    const dz = T.backward(
      T.logSoftmax(z, 0)
        .mul(gpu.tensor([1, 2, 3, 4]))
        .sum(),
    ).get(z)!;
    expectClose(await dz.data(), [1 - 5, 2, 3, 4 - 5]);
  });
});

it("works in f16 where the adapter has it", async () => {
  for (const length of [5, 8, 200]) {
    const values = Array.from({ length: 3 * length }, (_, i) => 4 * Math.sin(i * 1.7));
    const x = gpu.tensor(values, [3, length]);
    if (!gpu.info.features.includes("shader-f16")) {
      expect(() => T.cast(x, "f16")).toThrow("has no f16");
      continue;
    }
    const half = T.requireGrad(T.cast(x, "f16"));
    const y = T.softmax(half, -1);
    expect(y.dtype).toBe("f16");
    expectClose(await y.data(), await T.softmax(x, -1).data(), { rel: 2e-3, abs: 1e-4 });
    expectClose(await T.logSoftmax(half, -1).data(), await T.logSoftmax(x, -1).data(), { rel: 1e-3 });
    const dx = T.backward(y, { grad: T.cast(x, "f16") }).get(half)!;
    const full = T.requireGrad(gpu.tensor(values, [3, length]));
    expectClose(await dx.data(), await T.backward(T.softmax(full, -1), { grad: x }).get(full)!.data(), {
      rel: 5e-3,
      abs: 1e-4,
    });
  }
});

it("gives the same without subgroups", async () => {
  const other = await deviceWithoutSubgroups();
  for (const [rows, cols] of [
    [3, 5],
    [70, 8],
    [5, 197],
    [4, 1300],
  ] as const) {
    const values = Float32Array.from({ length: rows * cols }, (_, i) => 5 * Math.sin(i * 12.9898));
    for (const op of [T.softmax, T.logSoftmax]) {
      const [a, b] = [gpu, other].map((device) => T.requireGrad(device.tensor(values, [rows, cols])));
      const [ya, yb] = [op(a!, -1), op(b!, -1)];
      expectClose(await yb.data(), await ya.data(), { rel: 1e-6, abs: 1e-6 });
      const [da, db] = [T.backward(ya, { grad: a! }).get(a!)!, T.backward(yb, { grad: b! }).get(b!)!];
      expectClose(await db.data(), await da.data(), { rel: 1e-5, abs: 1e-5 });
    }
  }
  other.destroy();
});
