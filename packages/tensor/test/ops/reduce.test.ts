import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, testDevice } from "../../src/testing.ts";
import { reduceReference } from "../reference/arrays.ts";

const gpu = await testDevice();
const total = (values: number[]): number => values.reduce((a, b) => a + b, 0);

describe("reductions", () => {
  const dims: (number[] | undefined)[] = [undefined, [0], [1], [2], [0, 2], [1, 2], [0, 1]];
  const shapes = [
    [3, 4, 5],
    [2, 7, 8],
    [2, 64, 12],
    [4, 1, 17],
  ];
  const cases: [string, (x: T.Tensor, options: T.ReduceOptions) => T.Tensor, (values: number[]) => number][] = [
    ["sum", T.sum, total],
    ["mean", T.mean, (v) => total(v) / v.length],
    ["amax", T.amax, (v) => Math.max(...v)],
    ["amin", T.amin, (v) => Math.min(...v)],
    ["l2Norm", T.l2Norm, (v) => Math.hypot(...v)],
    ["logSumExp", T.logSumExp, (v) => Math.log(total(v.map(Math.exp)))],
  ];
  it.each(cases)("%s over any axes", async (name, op, f) => {
    for (const dim of dims) {
      for (const shape of shapes) {
        await checkOp(`${name} over ${dim ?? "all"}`, {
          op: (x) => op(x!, dim ? { dim } : {}),
          reference: reduceReference(dim, f) as never,
          inputs: [{ shape }],
          gradient: name !== "amax" && name !== "amin",
        });
      }
    }
  });

  it("cuts a long axis into parts", async () => {
    const n = 70_001;
    const values = Float32Array.from({ length: n }, (_, i) => Math.sin(i));
    const exact = total([...values]);
    expectClose([await gpu.tensor(values).sum().item()], [exact], { rel: 0, abs: 1e-3 });
    expect(await T.amax(gpu.tensor(values)).item()).toBe(
      Math.max(...values.slice(0, 1000)) > 0.99999 ? values.reduce((a, b) => Math.max(a, b)) : Number.NaN,
    );
    const columns = gpu.tensor(values.subarray(0, 70_000), [17_500, 4]);
    const expected = [0, 1, 2, 3].map((c) => total([...values.subarray(0, 70_000)].filter((_, i) => i % 4 === c)));
    expectClose(await columns.sum({ dim: 0 }).data(), expected, { rel: 0, abs: 1e-3 });
  });

  it("shares the gradient among ties", async () => {
    const x = T.requireGrad(gpu.tensor([1, 3, 3, 2]));
    expectClose(await T.backward(T.amax(x)).get(x)!.data(), [0, 0.5, 0.5, 0]);
  });

  it("variance is unbiased unless told otherwise", async () => {
    const mean = (v: number[]): number => total(v) / v.length;
    const spread = (divisor: (n: number) => number) => (v: number[]) =>
      total(v.map((x) => (x - mean(v)) ** 2)) / divisor(v.length);
    await checkOp("variance", {
      op: (x) => T.variance(x!, { dim: 1 }),
      reference: reduceReference(
        [1],
        spread((n) => n - 1),
      ) as never,
      inputs: [{ shape: [3, 7] }],
    });
    await checkOp("variance", {
      op: (x) => T.variance(x!, { unbiased: false }),
      reference: reduceReference(
        undefined,
        spread((n) => n),
      ) as never,
      inputs: [{ shape: [3, 7] }],
    });
  });

  it("finds the first of the largest, and its value and gradient", async () => {
    const x = T.requireGrad(gpu.tensor([1, 5, 5, 2, 9, 0], [2, 3]));
    const { values, indices } = T.max(x, 1);
    expectClose(await indices.data(), [1, 1]);
    expectClose(await values.data(), [5, 9]);
    expectClose(await T.backward(values.sum()).get(x)!.data(), [0, 1, 0, 0, 1, 0]);
    expectClose(await T.min(x, 0).indices.data(), [0, 0, 1]);
    expect(await T.argmax(x).item()).toBe(4);
  });

  it("gives the zero vector's length the gradient 0", async () => {
    const x = T.requireGrad(gpu.zeros([2, 3]));
    expectClose(
      await T.backward(T.l2Norm(x, { dim: 1 }).sum())
        .get(x)!
        .data(),
      new Array(6).fill(0),
    );
  });

  it("sums nothing to 0 and counts truth values", async () => {
    expectClose(await gpu.zeros([2, 0]).sum({ dim: 1 }).data(), [0, 0]);
    expect(
      await T.gt(gpu.tensor([1, -1, 2]), 0)
        .sum()
        .item(),
    ).toBe(2);
  });
});
