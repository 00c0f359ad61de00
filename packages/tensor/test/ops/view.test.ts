import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, ndarray, testDevice } from "../../src/testing.ts";

const gpu = await testDevice();
const ramp = (shape: readonly number[]): T.Tensor => gpu.arange(shape.reduce((a, b) => a * b, 1)).reshape(shape);

describe("views", () => {
  it("reshape, permute and slice see the same storage", async () => {
    const x = ramp([2, 3, 4]);
    const before = gpu.memory().liveBuffers;
    const y = T.slice(T.permute(x, [2, 0, 1]), [[1, 4, 2], null, [-2, 3]]);
    expect(gpu.memory().liveBuffers).toBe(before);
    expect(y.shape).toEqual([2, 2, 2]);
    expectClose(await y.data(), [5, 9, 17, 21, 7, 11, 19, 23]);
  });

  it("reshape copies only when it must", async () => {
    const t = ramp([2, 3]).transpose(0, 1);
    expectClose(await t.reshape([-1]).data(), [0, 3, 1, 4, 2, 5]);
    expectClose(
      await T.permute(ramp([2, 3, 4]), [1, 0, 2])
        .reshape([3, 2, 2, 2])
        .select(1, 1)
        .data(),
      [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23],
    );
  });

  it("flip, expand, squeeze, unsqueeze, flatten, narrow", async () => {
    expectClose(await T.flip(ramp([2, 3]), [0, 1]).data(), [5, 4, 3, 2, 1, 0]);
    expectClose(await T.expand(ramp([3, 1]), [2, 3, 2]).data(), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
    expect(ramp([1, 3, 1]).squeeze().shape).toEqual([3]);
    expect(ramp([3]).unsqueeze(-1).shape).toEqual([3, 1]);
    expect(ramp([2, 3, 4]).flatten(1).shape).toEqual([2, 12]);
    expectClose(await T.narrow(ramp([2, 3]), 1, 1, 2).data(), [1, 2, 4, 5]);
  });

  it("transposes blocks of every size", async () => {
    for (const [m, n] of [
      [8, 8],
      [9, 13],
      [64, 20],
      [33, 100],
    ] as const) {
      const expected = Array.from({ length: m * n }, (_, i) => (i % m) * n + Math.floor(i / m));
      expectClose(await ramp([m, n]).transpose(0, 1).data(), expected, { rel: 0, abs: 0 }, `${m}x${n}`);
    }
  });

  it.each([
    [3, 4, 2, 5],
    [3, 2, 64, 127],
    [2, 3, 65, 9],
    [3, 2, 4, 128],
  ])("moves rows and planes that lie together, [%d, %d, %d, %d]", async (a, b, rows, cols) => {
    const plane = rows * cols;
    const order = Array.from({ length: a * b }, (_, i) => (i % a) * b + Math.floor(i / a));
    const expected = order.flatMap((from) => Array.from({ length: plane }, (_, i) => from * plane + i));
    // Every second row as well, so that planes do not become rows.
    const spread = T.slice(ramp([a, b, 2 * rows, cols]), [null, null, [0, 2 * rows, 2], null]);
    const moved = [T.permute(ramp([a, b, rows, cols]), [1, 0, 2, 3]), T.permute(spread, [1, 0, 2, 3])];
    const [together, apart] = await Promise.all(moved.map((x) => T.contiguous(x).data()));
    expect([...together!]).toEqual(expected);
    const row = (i: number): number =>
      order[Math.floor(i / plane)]! * 2 * plane + 2 * cols * (Math.floor(i / cols) % rows);
    expect([...apart!]).toEqual(expected.map((_, i) => row(i) + (i % cols)));
  });

  it("permutes any number of axes", async () => {
    const cases = [
      [
        [2, 6, 8, 5],
        [0, 3, 1, 2],
      ],
      [
        [2, 6, 8, 12],
        [0, 2, 3, 1],
      ],
      [
        [3, 4, 8, 2, 16],
        [3, 1, 4, 0, 2],
      ],
      [
        [2, 3, 4, 5, 6, 7],
        [5, 0, 4, 1, 3, 2],
      ],
      [
        [2, 2, 4, 2, 4, 4, 8],
        [0, 2, 4, 1, 5, 3, 6],
      ],
      [
        [4, 9, 7],
        [2, 1, 0],
      ],
    ] as const;
    for (const [shape, dims] of cases) {
      const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce<number>((a, b) => a * b, 1));
      const out = dims.map((axis) => shape[axis]!);
      const expected = Array.from({ length: out.reduce((a, b) => a * b, 1) }, (_, i) => {
        let rest = i;
        let at = 0;
        for (let axis = out.length - 1; axis >= 0; axis--) {
          at += (rest % out[axis]!) * strides[dims[axis]!]!;
          rest = Math.floor(rest / out[axis]!);
        }
        return at;
      });
      const what = `[${shape}] by [${dims}]`;
      expectClose(await T.permute(ramp(shape), dims).data(), expected, { rel: 0, abs: 0 }, what);
      expectClose(
        await T.permute(ramp(shape), dims).mul(2).data(),
        expected.map((v) => 2 * v),
        { rel: 0, abs: 0 },
        what,
      );
      // Into a part of something larger, which is what joining does.
      const joined = T.cat([T.permute(ramp(shape), dims), T.permute(ramp(shape), dims)], 1);
      expectClose(await T.narrow(joined, 1, out[1]!, out[1]!).data(), expected, { rel: 0, abs: 0 }, what);
    }
  });

  it("gradients go back through views", async () => {
    await checkOp("views", {
      op: (x) => T.flip(T.slice(T.permute(x!, [1, 0, 2]), [[1, 3], null, [0, 4, 3]]), 0).reshape([-1]),
      reference: ({ data } = ndarray([], [0])) => {
        const out: number[] = [];
        for (const b of [2, 1]) for (const a of [0, 1]) for (const c of [0, 3]) out.push(data[a * 12 + b * 4 + c]!);
        return ndarray([8], out);
      },
      inputs: [{ shape: [2, 3, 4] }],
    });
  });

  it("says what does not fit", () => {
    expect(() => ramp([2, 3]).reshape([4, 2])).toThrow("reshape: f32[2, 3] with 6 elements does not fit [4, 2]");
    expect(() => T.permute(ramp([2, 3]), [0, 0])).toThrow(
      "permute: dims [0, 0] do not name each axis of f32[2, 3] once",
    );
    expect(() => T.narrow(ramp([3]), 0, 2, 2)).toThrow("narrow: 2 to 4 is outside dim 0 of f32[3]");
    expect(() => ramp([2]).sum({ dim: 3 })).toThrow("sum: no dim 3 in a tensor of rank 1");
  });
});

describe("joins", () => {
  it("cat, stack, split and chunk undo each other", async () => {
    const x = ramp([4, 3]);
    expectClose(await T.cat(T.split(x, [1, 3], 0), 0).data(), await x.data());
    expectClose(await T.cat(T.chunk(x, 2, 1), 1).data(), await x.data());
    expectClose(await T.stack([ramp([2]), ramp([2]).add(5)], 1).data(), [0, 5, 1, 6]);
  });

  it("pad, roll and repeat", async () => {
    const x = ramp([2, 3]);
    expectClose(
      await T.pad(
        x,
        [
          [0, 0],
          [2, 1],
        ],
        { mode: "reflect" },
      ).data(),
      [2, 1, 0, 1, 2, 1, 5, 4, 3, 4, 5, 4],
    );
    expectClose(
      await T.pad(
        x,
        [
          [1, 0],
          [-1, 2],
        ],
        { value: 9 },
      ).data(),
      [9, 9, 9, 9, 1, 2, 9, 9, 4, 5, 9, 9],
    );
    expectClose(await T.roll(x, [1, 1], [0, 1]).data(), [5, 3, 4, 2, 0, 1]);
    expectClose(await T.repeat(x, [1, 2]).data(), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
  });

  it("have gradients", async () => {
    await checkOp("pad reflect + roll + split", {
      op: (x) => {
        const [a, b] = T.split(
          T.roll(
            T.pad(
              x!,
              [
                [1, 1],
                [0, 0],
              ],
              { mode: "reflect" },
            ),
            1,
            1,
          ),
          [1, 2],
          1,
        ) as [T.Tensor, T.Tensor];
        return T.cat([b, a.mul(3)], 1);
      },
      reference: ({ data } = ndarray([], [0])) => {
        const rows = [1, 0, 1, 2, 1];
        const out = rows.flatMap((r) => {
          const rolled = [data[r * 3 + 2]!, data[r * 3]!, data[r * 3 + 1]!];
          return [rolled[1]!, rolled[2]!, 3 * rolled[0]!];
        });
        return ndarray([5, 3], out);
      },
      inputs: [{ shape: [3, 3] }],
    });
  });

  it("says what does not join", () => {
    expect(() => T.cat([ramp([2, 3]), ramp([3, 2])], 0)).toThrow("cat: f32[3, 2] does not join f32[2, 3] along dim 0");
    expect(() => T.pad(ramp([2]), [[2, 0]], { mode: "reflect" })).toThrow(
      "pad: reflecting [2, 0] needs more than dim 0",
    );
  });
});
