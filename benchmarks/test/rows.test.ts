import { expect, it } from "vitest";
import { uniform } from "../src/arrays.ts";
import { operation } from "../src/row.ts";
import { loadRows } from "../src/rows.ts";
import { prepareWay, type Task } from "../src/task.ts";

it("finds every row, each with a name of its own and work for ours", async () => {
  const rows = await loadRows();
  const names = rows.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["matmul 512^3", "softmax", "MLP step"]));
  expect(new Set(names).size).toBe(names.length);
  for (const { tasks } of rows) expect(tasks.ours).toHaveLength(1);
});

it("gives the reference the same inputs as the contenders, whose axes may be in another order", async () => {
  let seen: Float32Array[] = [];
  const row = operation({
    name: "sum of two",
    inputs: { a: [2, 3], b: [3] },
    output: [2, 3],
    reference: ({ a, b }) => Float64Array.from(a, (value, i) => value + b[i % 3]!),
    ours: ({ a }) => a,
    ort: [{ layouts: { a: { permute: [1, 0] }, output: { permute: [1, 0] } }, run: [] }],
  });
  expect(row.shape).toBe("[2, 3] [3]");
  const [a, b] = [uniform(6, 0), uniform(3, 1)];
  expect(Array.from(await row.reference())).toEqual(Array.from(a, (value, i) => value + b[i % 3]!));

  const session = {
    release: async () => {},
    // A model that gives back its first input, which must come out in the row's order again.
    run: async (feeds: Record<string, { data: Float32Array; dispose(): void }>) => {
      const first = Object.values(feeds)[0]!;
      seen = Object.values(feeds).map(({ data }) => data);
      return { output: first };
    },
  };
  const upload = async (data: Float32Array) => ({ data, dispose: () => {} });
  const ort = { load: async () => ({ device: session, host: session }), upload, wait: async () => {} };
  const task = (await prepareWay(row.tasks.ort, 0, ort)) as Task;
  expect(await task.result()).toEqual(a);
  expect(Array.from(seen[0]!)).toEqual([a[0], a[3], a[1], a[4], a[2], a[5]]);
  expect(seen[1]).toEqual(b);
});
