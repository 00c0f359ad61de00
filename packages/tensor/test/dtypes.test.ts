import { afterAll, describe, expect, it } from "vitest";
import type { View } from "../src/backend.ts";
import * as E from "../src/expr/expr.ts";
import * as T from "../src/index.ts";
import * as ops from "../src/ops/index.ts";
import { keep, scope } from "../src/scope.ts";
import { expectClose, testDevice } from "../src/testing.ts";
import type { Case } from "./dtypes/case.ts";
import { families, OTHERS } from "./dtypes/families.ts";
import { differentiable } from "./dtypes/gradients.ts";
import type { Typed } from "./dtypes/numbers.ts";
import { pointwise } from "./dtypes/pointwise.ts";

const gpu = await testDevice();
const half = gpu.info.features.includes("shader-f16");
const table = { ...pointwise, ...families };
const counts = { right: 0, refused: 0, calls: 0 };
const uncounted = Object.entries(gpu.backend).filter(([, call]) => typeof call === "function");
for (const [family, call] of uncounted) {
  const counted = (...args: unknown[]): unknown => {
    counts.calls++;
    return (call as (...args: unknown[]) => unknown)(...args);
  };
  Object.assign(gpu.backend, { [family]: counted });
}

afterAll(() => {
  Object.assign(gpu.backend, Object.fromEntries(uncounted));
  console.log(
    `types of ${Object.keys(table).length} ops on ${gpu.info.adapter}: ${counts.right} right, ${counts.refused} refused`,
  );
});

it("has every op that there is", () => {
  expect([...Object.keys(table), ...OTHERS].sort()).toEqual(Object.keys(ops).sort());
});

const upload = ({ data, shape, dtype }: Typed): T.Tensor => gpu.tensor([...data], shape, { dtype });

/** Records a call, or sees that it is refused: in one line, with nothing launched and nothing left behind. */
function record(what: string, { inputs: given, run, right }: Case): T.Tensor | undefined {
  const inputs = given.length > 0 ? given.map(upload) : [gpu.zeros([1])];
  const before = { calls: counts.calls, buffers: gpu.memory().liveBuffers };
  let y: T.Tensor;
  try {
    y = run(...inputs);
  } catch (error) {
    expect(right, `${what}: ${error}`).toBe("refused");
    expect(error, what).toBeInstanceOf(T.DTypeError);
    expect((error as Error).message, what).toMatch(/^[a-zA-Z0-9]+: [^\n]+$/);
    expect({ calls: counts.calls, buffers: gpu.memory().liveBuffers }, what).toEqual(before);
    counts.refused++;
    return undefined;
  }
  expect(T.describe(y), what).toBe(right === "refused" ? right : T.describe(right));
  y.dense();
  return keep(y);
}

async function compare(what: string, y: T.Tensor, { inputs, right, rel = 0, abs = 0 }: Case): Promise<void> {
  if (right === "refused") return;
  const actual = await y.data();
  y.dispose();
  for (let i = 0; i < right.data.length; i++) {
    const [a, b] = [actual[i]!, right.data[i]!];
    if (Object.is(a, b) || a === b || Math.abs(a - b) <= abs + rel * Math.abs(b)) continue;
    throw new Error(
      `${what}: element ${i} is ${a}, right ${b}; of ${inputs.map(({ data }) => data.join()).join(" and ")}`,
    );
  }
  counts.right++;
}

const needsHalf = ({ inputs, right }: Case): boolean =>
  inputs.some(({ dtype }) => dtype === "f16") || (right !== "refused" && right.dtype === "f16");

describe("types", () => {
  it.each(Object.entries(table))("%s", async (op, entry) => {
    const wrong: string[] = [];
    const note = (error: unknown): void => {
      wrong.push(String(error).split("\n")[0]!);
    };
    // All at once, so that kernels are compiled side by side.
    const recorded: (() => Promise<void>)[] = [];
    for (const one of entry()) {
      if (!half && needsHalf(one)) continue;
      const what = `${op}: ${one.name}`;
      try {
        const y = scope(() => record(what, one));
        if (y) recorded.push(() => compare(what, y, one));
      } catch (error) {
        note(error);
      }
    }
    await gpu.sync();
    for (const read of recorded) await read().catch(note);
    expect(wrong).toEqual([]);
    // Whatever was refused, the device is well.
    expect(await T.add(gpu.tensor([1]), 1).item()).toBe(2);
  });
});

describe.runIf(half)("the gradient in f16", () => {
  /** Of values that f16 has, weighed so that every element counts differently. */
  async function gradientsOf(
    shapes: readonly (readonly number[])[],
    op: (...x: T.Tensor[]) => T.Tensor,
    dtype: T.DType,
  ): Promise<Float32Array[]> {
    const inputs = shapes.map((shape, i) => {
      const values = Float32Array.from(
        { length: T.numel(shape) },
        (_, k) => Math.round(64 * Math.sin(k + 5 * i + 1)) / 64,
      );
      return T.requireGrad(gpu.tensor(values, shape, { dtype }));
    });
    const y = op(...inputs);
    expect(y.dtype === "f16" || y.dtype === "f32").toBe(true);
    const weights = T.sin(T.reshape(gpu.arange(y.size), y.shape));
    const gradients = T.backward(T.sum(T.mul(T.cast(y, "f32"), weights)));
    return Promise.all(
      inputs.map(async (x) => {
        const gradient = gradients.get(x)!;
        expect(T.describe(gradient)).toBe(T.describe(x));
        return (await gradient.data()) as Float32Array;
      }),
    );
  }

  it.each(Object.entries(differentiable))("of %s is that in f32, rounded", async (_, [shapes, op]) => {
    const [exact, actual] = [await gradientsOf(shapes, op, "f32"), await gradientsOf(shapes, op, "f16")];
    exact.forEach((right, i) => {
      expectClose(actual[i]!, right, { rel: 3e-3, abs: 1e-3 }, `input ${i}`);
    });
  });

  it("is added up in f32", async () => {
    const x = T.requireGrad(gpu.tensor([1], [1], { dtype: "f16" }));
    // 2048 + 1 + 1 + 1 in f16 is 2048 at every step; and so is a broadcast's sum of 5000 ones.
    const parts = [2048, 1, 1, 1].map((factor) => T.sum(T.cast(T.mul(x, factor), "f32")));
    expect(
      await T.backward(parts.reduce((a, b) => T.add(a, b)))
        .get(x)!
        .data(),
    ).toEqual(Float32Array.of(2052));
    const wide = T.cast(T.expand(x, [5000]), "f32");
    expect(await T.backward(T.sum(wide)).get(x)!.data()).toEqual(Float32Array.of(5000));
  });

  it("of a result in between has its dtype, and a seed may be of either", async () => {
    const x = T.requireGrad(gpu.tensor([1, 2], [2], { dtype: "f16" }));
    for (const dtype of ["f16", "f32"] as const) {
      const h = T.mul(x, 3);
      const y = T.square(h);
      const gradients = T.backward(y, { wrt: [h, x], grad: gpu.ones([2], { dtype }) });
      expect([T.describe(gradients.get(h)!), T.describe(gradients.get(x)!)]).toEqual(["f16[2]", "f16[2]"]);
      expect([...(await gradients.get(h)!.data()), ...(await gradients.get(x)!.data())]).toEqual([6, 12, 18, 36]);
    }
  });
});

it("refuses a call whose operands are not of the types that a kernel takes", () => {
  const view = (dtype: T.DType): View => ({ ...gpu.zeros([4]).view(), dtype });
  const rows = { rows: 1, cols: 4, log: false };
  expect(() => gpu.backend.softmaxGrad({ ...rows, y: view("f16"), dy: view("f32"), dx: view("f16") })).toThrow(
    "internal: softmaxGrad does not take y f16, dy f32, dx f16",
  );
  expect(() =>
    gpu.backend.pointwise({ out: view("f32"), tree: E.exp(E.leaf(0)), leaves: [view("i32")], params: [] }),
  ).toThrow("internal: pointwise does not take out f32, leaves.0 i32");
  const tree = E.exp(E.leaf(0, "i32"));
  expect(() => gpu.backend.pointwise({ out: view("i32"), tree, leaves: [view("i32")], params: [] })).toThrow(
    "internal: exp of i32",
  );
});
