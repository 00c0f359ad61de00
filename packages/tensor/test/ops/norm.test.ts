import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, type NdArray, ndarray, testDevice } from "../../src/testing.ts";
import { affine, alongAxes, normalizeRow, unitRow } from "../reference/rows.ts";
import { deviceWithoutSubgroups } from "../without-subgroups.ts";

const gpu = await testDevice();

describe("layerNorm", () => {
  it.each([
    [[2, 7, 16], [16]],
    [[3, 37], [37]],
    [[11, 2], [2]],
    [
      [2, 3, 4, 5],
      [4, 5],
    ],
    [[4, 180], [180]],
    [[70, 8], [8]],
    [[16, 12], [12]],
    [[2, 1030], [1030]],
  ] as const)("normalises %j over %j", async (shape, tail) => {
    const cols = T.numel(tail);
    const axes = tail.map((_, i) => shape.length - tail.length + i);
    await checkOp("layerNorm", {
      op: (x, weight, bias) => T.layerNorm(x!, { weight: weight!, bias: bias!, normalizedShape: tail }),
      reference: (x, weight, bias) =>
        affine(
          alongAxes(x!, axes, (row) => normalizeRow(row)),
          weight!,
          bias!,
          (i) => i % cols,
        ),
      inputs: [{ shape, range: [-2, 2] }, { shape: tail, range: [0.5, 2] }, { shape: tail }],
      gradientTolerance: { rel: 5e-5, abs: 5e-5 },
    });
  });

  it.each([6, 8])("does without weight or bias, in rows of %i", async (cols) => {
    const plain = (x: NdArray): NdArray => alongAxes(x, [1], (row) => normalizeRow(row, 1e-3));
    const zeros = ndarray([cols], new Float64Array(cols));
    const ones = ndarray([cols], new Float64Array(cols).fill(1));
    await checkOp("layerNorm", {
      op: (x) => T.layerNorm(x!, { eps: 1e-3 }),
      reference: (x) => plain(x!),
      inputs: [{ shape: [5, cols] }],
    });
    await checkOp("layerNorm", {
      op: (x, weight) => T.layerNorm(x!, { weight: weight!, eps: 1e-3 }),
      reference: (x, weight) => affine(plain(x!), weight!, zeros, (i) => i % cols),
      inputs: [{ shape: [5, cols] }, { shape: [cols] }],
    });
    await checkOp("layerNorm", {
      op: (x, bias) => T.layerNorm(x!, { bias: bias!, eps: 1e-3 }),
      reference: (x, bias) => affine(plain(x!), ones, bias!, (i) => i % cols),
      inputs: [{ shape: [5, cols] }, { shape: [cols] }],
    });
  });

  it("does not cancel where the mean is large and the variance small", async () => {
    const values = Float32Array.from({ length: 3 * 64 }, (_, i) => 1000 + Math.sin(i * 1.7));
    const expected = alongAxes(ndarray([3, 64], values), [1], (row) => normalizeRow(row));
    expectClose(await T.layerNorm(gpu.tensor(values, [3, 64])).data(), expected.data, { rel: 1e-4 });
  });

  it("keeps a NaN in its row", async () => {
    const y = await T.layerNorm(gpu.tensor([1, Number.NaN, 3, 4, 1, 2, 3, 4], [2, 4])).data();
    expectClose(y, [...new Array<number>(4).fill(Number.NaN), ...normalizeRow([1, 2, 3, 4])]);
  });

  it("works in f16 where the adapter has it, with sums in f32", async () => {
    for (const cols of [5, 2048]) {
      // The sum of the squares is beyond f16.
      const values = Array.from({ length: 2 * cols }, (_, i) => 20 + 60 * Math.sin(i * 1.7));
      const x = gpu.tensor(values, [2, cols]);
      if (!gpu.info.features.includes("shader-f16")) {
        expect(() => T.cast(x, "f16")).toThrow("has no f16");
        continue;
      }
      const weight = T.requireGrad(T.cast(gpu.full([cols], 2), "f16"));
      const y = T.layerNorm(T.cast(x, "f16"), { weight });
      const expected = await T.mul(T.layerNorm(x), 2).data();
      expectClose(await y.data(), expected, { rel: 2e-3 });
      const dWeight = T.backward(y, { grad: T.cast(gpu.ones([2, cols]), "f16") }).get(weight)!;
      expect(dWeight.dtype).toBe("f16");
      const sums = Array.from({ length: cols }, (_, i) => (expected[i]! + expected[i + cols]!) / 2);
      expectClose(await dWeight.data(), sums, { rel: 3e-3 });
    }
  });

  it("gives the same without subgroups", async () => {
    const other = await deviceWithoutSubgroups();
    for (const [rows, cols] of [
      [3, 5],
      [70, 8],
      [4, 1300],
    ] as const) {
      const values = Float32Array.from({ length: rows * cols }, (_, i) => 5 * Math.sin(i * 12.9898));
      const found = [gpu, other].map((device) => {
        const x = T.requireGrad(device.tensor(values, [rows, cols]));
        const weight = T.requireGrad(device.full([cols], 2));
        const y = T.keep(T.layerNorm(x, { weight }));
        const gradients = T.backward(y, { grad: x });
        return [y, gradients.get(x)!, gradients.get(weight)!];
      });
      for (const [i, ours] of found[0]!.entries()) {
        expectClose(await found[1]![i]!.data(), await ours.data(), { rel: 1e-5, abs: 1e-5 });
      }
    }
    other.destroy();
  });

  it("takes tensors without elements, and gives back its memory", async () => {
    expect((await T.layerNorm(gpu.zeros([0, 4])).data()).length).toBe(0);
    const weight = T.requireGrad(gpu.ones([8]));
    const x = T.requireGrad(gpu.ones([6, 8]));
    await expectNoLeak(() => {
      T.backward(T.layerNorm(x, { weight }).square().sum());
    });
  });

  it("names what is wrong", () => {
    const x = gpu.zeros([2, 3]);
    expect(() => T.layerNorm(x, { normalizedShape: [2] })).toThrow("layerNorm: x f32[2, 3] does not end in [2]");
    expect(() => T.layerNorm(x, { weight: gpu.zeros([2]) })).toThrow(
      "layerNorm: weight or bias f32[2] does not fit x f32[2, 3] over [3]",
    );
    expect(() => T.layerNorm(gpu.tensor(1))).toThrow("layerNorm: x f32[] does not end in []");
  });
});

describe("l2Normalize", () => {
  it.each([
    [[2, 7, 4], -1],
    [[2, 7, 4], 1],
    [[5], 0],
    [[3, 512], -1],
  ] as const)("makes %j unit length along %i", async (shape, dim) => {
    const axis = dim < 0 ? dim + shape.length : dim;
    await checkOp("l2Normalize", {
      op: (x) => T.l2Normalize(x!, { dim }),
      reference: (x) => alongAxes(x!, [axis], (row) => unitRow(row)),
      inputs: [{ shape }],
    });
  });

  it("divides by eps below it, and has a finite gradient at zero", async () => {
    const x = T.requireGrad(gpu.tensor([3, 4, 3e-4, 4e-4, 0, 0], [3, 2]));
    const y = T.l2Normalize(x, { eps: 1e-3 });
    expectClose(await y.data(), [0.6, 0.8, 0.3, 0.4, 0, 0]);
    const dx = T.backward(y, { grad: gpu.ones([3, 2]) }).get(x)!;
    expectClose(await dx.data(), [0.2 * (1 - 0.6 * 1.4), 0.2 * (1 - 0.8 * 1.4), 1000, 1000, 1000, 1000]);
  });
});
