import { backward, Device, matmul, requireGrad, sum, type Tensor } from "@deplsr/tensor";
import { afterAll, expect, it, vi } from "vitest";
import { GradientSum } from "../src/index.ts";
import { localGroup } from "../src/testing.ts";

const device = await Device.request({ backend: "cpu" });
afterAll(() => device.destroy());

const SHAPES = [[3, 4], [5], [], [2, 2, 2]];
const parameters = SHAPES.map((shape) => device.zeros(shape));

/** The gradient of a parameter in a rank. */
function gradientOf(rank: number, parameter: number): Tensor {
  const { size, shape } = parameters[parameter]!;
  return device.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.fround(((i + 1) * (rank + 3)) / (parameter + 7))),
    shape,
  );
}

/** What the ranks have after a step in which each takes gradients of these parameters. */
async function summed(takes: readonly (readonly number[])[], bucketBytes?: number) {
  const groups = localGroup(takes.length);
  const calls = groups.map((group) => vi.spyOn(group, "allReduce"));
  const results = await Promise.all(
    groups.map(async (group, rank) => {
      const pass = new GradientSum(group, parameters, bucketBytes).begin();
      for (const i of takes[rank]!) pass.take(parameters[i]!, gradientOf(rank, i));
      const { gradients, values } = await pass.end([rank + 1, 0.5]);
      const numbers = [...gradients].map(async ([parameter, gradient]) => {
        expect(gradient.shape).toEqual(parameter.shape);
        return [parameters.indexOf(parameter), Array.from(await gradient.data())] as const;
      });
      return { gradients: await Promise.all(numbers), values: Array.from(values) };
    }),
  );
  return { results, sent: calls.map(({ mock }) => mock.calls.map(([values]) => values.length)) };
}

/** The same by the definition. */
async function expected(takes: readonly (readonly number[])[]) {
  const all = [0, 1, 2, 3].filter((i) => takes.some((own) => own.includes(i)));
  return Promise.all(
    all.map(async (i) => {
      const sum = Array<number>(parameters[i]!.size).fill(0);
      for (const [rank, own] of takes.entries()) {
        const values = own.includes(i) ? await gradientOf(rank, i).data() : sum.map(() => 0);
        for (const [at, value] of values.entries()) sum[at]! += value;
      }
      return [i, sum.map(Math.fround)] as const;
    }),
  );
}

it.each([
  ["one bucket", undefined, [26]],
  ["a bucket each", 1, [8, 1, 5, 12]],
  ["two buckets", 56, [14, 12]],
])("sums gradients and values in the order of ranks, in %s", async (_, bytes, sizes) => {
  // Whatever order they come in.
  const takes = [
    [3, 2, 1, 0],
    [0, 1, 3, 2],
    [2, 3, 0, 1],
  ];
  const { results, sent } = await summed(takes, bytes);
  for (const { gradients, values } of results) {
    expect(gradients).toEqual(await expected(takes));
    expect(values).toEqual([6, 1.5]);
  }
  // Buckets begin with the last parameters, whose gradients come first; what is left over goes with the values.
  expect(sent).toEqual(takes.map(() => [...sizes, 2 + parameters.length]));
});

it("takes what a rank has no gradient of for zeros, and leaves out what none has", async () => {
  const takes = [[3, 0], [1]];
  const { results } = await summed(takes, 1);
  for (const { gradients } of results) expect(gradients).toEqual(await expected(takes));
  expect(results[0]!.gradients.map(([i]) => i)).toEqual([0, 1, 3]);
});

it("sends a bucket once it is full, before the step ends", async () => {
  const groups = localGroup(2);
  const calls = vi.spyOn(groups[0]!, "allReduce");
  const passes = groups.map((each) => new GradientSum(each, parameters, 1).begin());
  for (const [rank, pass] of passes.entries()) pass.take(parameters[3]!, gradientOf(rank, 3));
  await vi.waitFor(() => expect(calls).toHaveBeenCalledTimes(1));
  for (const [rank, pass] of passes.entries()) pass.take(parameters[2]!, gradientOf(rank, 2));
  await vi.waitFor(() => expect(calls).toHaveBeenCalledTimes(2));
  await Promise.all(passes.map((pass) => pass.end([])));
  expect(calls).toHaveBeenCalledTimes(5);
});

it("sends buckets while the rest of backward is still computed, from the second step on in the order in which gradients come", async () => {
  const weights = [1, 2, 3, 4].map((seed) =>
    requireGrad(
      device.tensor(
        Float32Array.from({ length: 9 }, (_, i) => Math.sin(seed + i)),
        [3, 3],
      ),
    ),
  );
  const loss = (): Tensor => sum(weights.reduce((x, weight) => matmul(x, weight), device.ones([2, 3])));
  const groups = localGroup(2);
  const calls = groups.map((group) => vi.spyOn(group, "allReduce"));
  // In the wrong order: the weight that is used last comes first, so that nothing can be sent before its gradient.
  const sums = groups.map((group) => new GradientSum(group, [...weights].reverse(), 1));
  const plain = backward(loss());
  const expected = await Promise.all(
    weights.map(async (weight) => (await plain.get(weight)!.data()).map((x) => 2 * x)),
  );
  for (const sent of [
    [0, 0, 0, 4],
    [1, 2, 3, 4],
  ]) {
    const all = sums.map((each, rank) => {
      const before = calls[rank]!.mock.calls.length;
      const pass = each.begin();
      const seen: number[] = [];
      const gradients = backward(loss(), {
        onGradient: (weight, gradient) => {
          pass.take(weight, gradient);
          seen.push(calls[rank]!.mock.calls.length - before);
        },
      });
      expect(seen).toEqual(sent);
      expect(gradients.size).toBe(4);
      return pass.end([]);
    });
    for (const { gradients } of await Promise.all(all)) {
      const values = weights.map((weight) => gradients.get(weight)!.data());
      expect(await Promise.all(values)).toEqual(expected);
    }
  }
});

it("leaves no memory behind", async () => {
  const group = localGroup(1)[0]!;
  const sum = new GradientSum(group, parameters);
  const live = async (): Promise<number> => {
    const pass = sum.begin();
    const gradients = parameters.map((_, i) => gradientOf(0, i));
    for (const [i, gradient] of gradients.entries()) pass.take(parameters[i]!, gradient);
    const result = await pass.end([]);
    for (const gradient of [...gradients, ...result.gradients.values()]) gradient.dispose();
    return device.memory().liveBytes;
  };
  const first = await live();
  expect(await live()).toBe(first);
});
