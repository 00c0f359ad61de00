import { afterAll, describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak } from "../../src/testing.ts";
import { alongAxes, normalizeRow } from "../reference/rows.ts";

const webgpu = await T.Device.request({ backend: "webgpu" });
const cpu = await T.Device.request({ backend: "cpu", threads: 1 });
afterAll(() => {
  webgpu.destroy();
  cpu.destroy();
});

/** What a process that is alone is told. */
const alone: T.BatchExchange = {
  allGather: async (values) => [values],
  allGatherSync: (values) => [values],
  allReduce: async (values) => values,
  allReduceSync: (values) => values,
};

/**
 * Several processes in one: each runs by itself, again and again, until what all tell in each exchange is known; till then it is told its own values in place of those of
 * the others. What they come to in the end, by rank.
 */
async function together<Result>(
  size: number,
  run: (rank: number, exchange: T.BatchExchange) => Promise<Result>,
): Promise<Result[]> {
  const told: (readonly Float64Array[])[][] = Array.from({ length: size }, () => []);
  for (;;) {
    const before = told.map((calls) => calls.map(([values]) => values!));
    const results: Result[] = [];
    let known = true;
    for (let rank = 0; rank < size; rank++) {
      let call = 0;
      const all = (values: Float64Array): Float64Array[] => {
        const at = call++;
        known &&= before[rank]![at]?.every((value, i) => Object.is(value, values[i])) ?? false;
        told[rank]![at] = [values.slice()];
        return before.map((calls) => calls[at] ?? values);
      };
      const sum = (values: Float64Array): Float64Array => {
        const rows = all(values);
        return values.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0));
      };
      const exchange: T.BatchExchange = {
        ...{ allGather: async (values) => all(values), allGatherSync: all },
        ...{ allReduce: async (values) => sum(values), allReduceSync: sum },
      };
      try {
        results.push(await run(rank, exchange));
      } catch (error) {
        // Its own values alone may be too few.
        if (known) throw error;
      }
    }
    if (known) return results;
  }
}

interface Whole {
  readonly y: Float64Array;
  readonly dx: Float64Array;
  readonly byWeight: number[];
  readonly byBias: number[];
  readonly mean: number[];
  readonly variance: number[];
}

/** Batch normalisation of everything at once and its gradients, by the definition. x (b, c, area) */
function reference(
  [batch, channels, area]: readonly [number, number, number],
  x: Float32Array,
  dy: Float32Array,
  weight: readonly number[],
  bias: readonly number[],
  eps: number,
): Whole {
  const [y, dx] = [new Float64Array(x.length), new Float64Array(x.length)];
  const whole: Whole = { y, dx, byWeight: [], byBias: [], mean: [], variance: [] };
  const count = batch * area;
  for (let c = 0; c < channels; c++) {
    const at = Array.from({ length: count }, (_, i) => (Math.floor(i / area) * channels + c) * area + (i % area));
    const mean = at.reduce((sum, i) => sum + x[i]!, 0) / count;
    const variance = at.reduce((sum, i) => sum + (x[i]! - mean) ** 2, 0) / count;
    const scale = 1 / Math.sqrt(variance + eps);
    const n = (i: number): number => (x[i]! - mean) * scale;
    const ofDy = at.reduce((sum, i) => sum + dy[i]!, 0);
    const ofDyN = at.reduce((sum, i) => sum + dy[i]! * n(i), 0);
    for (const i of at) {
      y[i] = n(i) * weight[c]! + bias[c]!;
      dx[i] = weight[c]! * scale * (dy[i]! - ofDy / count - (n(i) * ofDyN) / count);
    }
    whole.byWeight.push(ofDyN);
    whole.byBias.push(ofDy);
    whole.mean.push(mean);
    whole.variance.push(variance);
  }
  return whole;
}

const numbers = (length: number, at: (i: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, i) => at(i));
const sum = (rows: readonly ArrayLike<number>[]): number[] =>
  Array.from(rows[0]!, (_, i) => rows.reduce((total, row) => total + row[i]!, 0));

describe.each([
  ["WebGPU", webgpu],
  ["the CPU", cpu],
])("batchNorm of processes that have a part each, on %s", (_, device) => {
  it.each([
    ["numbers around 0", [2, 2], 6, (i: number) => 3 * Math.sin(i * 12.9898), 1e-4],
    ["parts of other sizes, one of a single value, one of none", [3, 0, 1], 1, (i: number) => Math.sin(i), 1e-4],
    ["parts that are far from each other", [1, 2, 3], 5, (i: number) => Math.sin(i) + 50 * Math.floor(i / 15), 1e-4],
    ["a mean that is large beside the distances", [2, 4], 70, (i: number) => 1e6 + Math.sin(i), 1e-3],
    ["long rows", [1, 1], 3000, (i: number) => Math.sin(i * 0.37) - 0.2, 1e-4],
  ])("is that of the whole batch: %s", async (_, parts, area, valueAt, abs) => {
    const channels = 3;
    const row = channels * area;
    const batch = parts.reduce((a, b) => a + b);
    const [values, dy] = [numbers(batch * row, valueAt), numbers(batch * row, (i) => Math.cos(i * 0.7) + 0.3)];
    const [weight, bias] = [
      [2, -0.5, 1],
      [0.5, 1, -3],
    ];
    const whole = reference([batch, channels, area], values, dy, weight!, bias!, 1e-3);
    const results = await together(parts.length, async (rank, exchange) => {
      const from = parts.slice(0, rank).reduce((a, b) => a + b, 0) * row;
      const part = (all: Float32Array): T.Tensor =>
        device.tensor(all.slice(from, from + parts[rank]! * row), [parts[rank]!, channels, area]);
      const [x, w, b] = [part(values), device.tensor(weight!), device.tensor(bias!)].map((t) => T.requireGrad(t)) as [
        T.Tensor,
        T.Tensor,
        T.Tensor,
      ];
      const running = {
        ...{ mean: device.zeros([channels]), variance: device.ones([channels]) },
        ...{ count: device.zeros([], { dtype: "i32" }), momentum: 0.25 },
      };
      const { y, mean, variance } = T.batchNorm(x, { weight: w, bias: b, eps: 1e-3, running, exchange });
      const result = T.keep(T.add(y, 0));
      // Before anything is computed with what may have failed.
      await result.data();
      const gradients = T.backward(y, { grad: part(dy) });
      const all = [result, ...[x, w, b].map((t) => gradients.get(t)!), mean, variance, running.mean, running.variance];
      const data = await Promise.all(all.map((t) => t.data()));
      return { data, batches: await running.count.item() };
    });
    const column = (i: number): number[] => results.flatMap(({ data }) => Array.from(data[i]!));
    expectClose(column(0), whole.y, { rel: 1e-6, abs: 5e-6 });
    expectClose(column(1), whole.dx, { rel: 1e-5, abs: 5e-6 });
    expectClose(sum(results.map(({ data }) => data[2]!)), whole.byWeight, { rel: 1e-5, abs });
    expectClose(sum(results.map(({ data }) => data[3]!)), whole.byBias, { rel: 1e-5, abs });
    const count = batch * area;
    for (const { data, batches } of results) {
      expect(batches).toBe(1);
      expectClose(data[4]!, whole.mean, { rel: 1e-7, abs: 1e-7 });
      expectClose(data[5]!, whole.variance, { rel: 2e-6, abs: 0 });
      expectClose(
        data[6]!,
        whole.mean.map((mean) => mean / 4),
        { rel: 2e-7, abs: 1e-7 },
      );
      const unbiased = whole.variance.map((variance) => 0.75 + (variance * count) / (count - 1) / 4);
      expectClose(data[7]!, unbiased, { rel: 2e-6, abs: 0 });
      // The same bits in all of them.
      for (const i of [4, 5, 6, 7]) expect([...data[i]!]).toEqual([...results[0]!.data[i]!]);
    }
  });

  it("takes halves, and normalises without weight, bias and gradient", async () => {
    const values = numbers(24, (i) => Math.sin(i) * 2);
    const results = await together(2, async (rank, exchange) => {
      const x = device.tensor(values.slice(12 * rank, 12 * rank + 12), [2, 2, 3]);
      const both = device.info.features.includes("shader-f16") ? [x, T.cast(x, "f16")] : [x];
      return Promise.all(both.map((x) => T.cast(T.batchNorm(x, { exchange }).y, "f32").data()));
    });
    const whole = reference([4, 2, 3], values, values, [1, 1], [0, 0], 1e-5);
    results[0]!.forEach((_, i) => {
      const y = results.flatMap((parts) => [...parts[i]!]);
      expectClose(y, whole.y, i === 0 ? { rel: 1e-6, abs: 1e-6 } : { rel: 2e-3, abs: 1e-3 });
    });
  });

  it("gives back its memory", async () => {
    const [x, weight] = [T.requireGrad(device.ones([2, 3, 4])), T.requireGrad(device.ones([3]))];
    await expectNoLeak(() => {
      T.backward(T.batchNorm(x, { weight, exchange: alone }).y.square().sum());
    });
  });

  /** How a call of one process ends that is told this. */
  async function outcome(x: T.Tensor, exchange: Partial<T.BatchExchange>, backward = false): Promise<string> {
    try {
      const running = {
        ...{ mean: device.zeros([2]), variance: device.ones([2]) },
        ...{ count: device.zeros([], { dtype: "i32" }), momentum: 0.25 },
      };
      const { y } = T.batchNorm(x, { running, exchange: { ...alone, ...exchange } });
      if (backward)
        await T.backward(T.sum(T.square(y)))
          .get(x)!
          .data();
      else await y.data();
      return "nothing";
    } catch (error) {
      return (error as Error).message;
    } finally {
      await device.sync().catch(() => undefined);
    }
  }

  it("says in a line what is wrong, forward and backward", async () => {
    const x = T.requireGrad(device.ones([2, 2, 3]));
    const broken = (): never => {
      throw new Error("MPI is gone (rank 1 of 2 on node7)");
    };
    const gone = { allGather: async () => broken(), allGatherSync: broken };
    expect(await outcome(x, gone)).toMatch(/MPI is gone \(rank 1 of 2 on node7\)$/);
    const later = { allReduce: async () => broken(), allReduceSync: broken };
    expect(await outcome(x, later, true)).toMatch(/MPI is gone \(rank 1 of 2 on node7\)$/);
    const wider = (values: Float64Array): Float64Array[] => [values, new Float64Array(9)];
    expect(await outcome(x, { allGather: async (values) => wider(values), allGatherSync: wider })).toMatch(
      /batchNorm: process 1 normalises 4 channels where this one has 2: all have to call the same layers in the same order$/,
    );
    expect(await outcome(device.ones([1, 2, 1]), {})).toMatch(
      /batchNorm: all processes have no two values of a channel together/,
    );
    expect(await outcome(x, {}, true)).toBe("nothing");
  });
});

it("has the gradient of the definition", async () => {
  await checkOp("batchNorm", {
    op: (x, weight) => T.batchNorm(x!, { weight: weight!, exchange: alone }).y,
    reference: (x, weight) => {
      const normal = alongAxes(x!, [0, 2], (row) => normalizeRow(row));
      return { shape: x!.shape, data: normal.data.map((value, i) => value * weight!.data[Math.floor(i / 5) % 3]!) };
    },
    inputs: [
      { shape: [4, 3, 5], range: [-2, 2] },
      { shape: [3], range: [0.5, 2] },
    ],
    gradientTolerance: { rel: 5e-5, abs: 5e-5 },
  });
});

it("refuses given statistics besides", () => {
  const given = { mean: cpu.zeros([2]), variance: cpu.ones([2]) };
  expect(() => T.batchNorm(cpu.ones([2, 2]), { ...given, exchange: alone })).toThrow(
    "batchNorm: exchange is for the batch's own statistics",
  );
});
