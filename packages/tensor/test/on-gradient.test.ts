import { describe, expect, it } from "vitest";
import * as T from "../src/index.ts";
import { testDevice } from "../src/testing.ts";

const device = await testDevice();
const halves = device.info.features.includes("shader-f16");
const leaf = (shape: readonly number[], from: number, dtype: T.DType = "f32"): T.Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: size }, (_, i) => Math.sin(from + i));
  return T.requireGrad(device.tensor(values, shape, { dtype }));
};

/** A loss, and what else of its graph gradients are asked of. */
interface Graph {
  readonly loss: T.Tensor;
  readonly leaves: readonly T.Tensor[];
  /** Of the graph, none of them leaves. */
  readonly inner?: readonly T.Tensor[];
}

const block = (x: T.Tensor, w: T.Tensor, b: T.Tensor): T.Tensor => T.tanh(T.add(T.matmul(x, w), b));
const layers = (dtype?: T.DType): T.Tensor[][] =>
  [1, 2, 3].map((i) => [leaf([4, 4], i, dtype), leaf([4], 7 * i, dtype)]);
const input = (dtype: T.DType = "f32"): T.Tensor => T.detach(leaf([2, 4], 0, dtype));

const GRAPHS: Readonly<Record<string, () => Graph>> = {
  layers: () => {
    const all = layers();
    const inner: T.Tensor[] = [];
    let x = input();
    for (const [w, b] of all) {
      x = block(x, w!, b!);
      inner.push(x);
    }
    return { loss: T.sum(T.square(x)), leaves: all.flat(), inner };
  },
  "a weight that is used early and late": () => {
    const [w, v] = [leaf([4, 4], 1), leaf([4, 4], 2)];
    const h = T.matmul(input(), w);
    return { loss: T.sum(T.matmul(T.tanh(T.matmul(h, v)), w)), leaves: [w, v], inner: [h] };
  },
  "one gradient for several": () => {
    const [a, b, c] = [leaf([3], 1), leaf([3], 2), leaf([3], 3)];
    return { loss: T.sum(T.add(T.add(a, b), c)), leaves: [a, b, c] };
  },
  "a leaf alone": () => {
    const a = leaf([], 1);
    return { loss: a, leaves: [a] };
  },
  "views and parts": () => {
    const w = leaf([4, 6], 1);
    const [a, , c] = T.split(w, 2, 1);
    return { loss: T.sum(T.mul(T.reshape(a!, [8]), T.reshape(T.permute(c!, [1, 0]), [8]))), leaves: [w] };
  },
  "parameters in checkpoints": () => {
    const all = layers();
    let x = input();
    for (const [w, b] of all) x = T.checkpoint((y) => block(y, w!, b!), x);
    return { loss: T.sum(x), leaves: all.flat() };
  },
  "a parameter in two checkpoints, and around them": () => {
    const [[w, b], [v, c]] = layers() as [T.Tensor[], T.Tensor[]];
    const h = T.matmul(input(), w!);
    const inside = T.checkpoint((y) => T.checkpoint((z) => block(z, w!, b!), block(y, v!, c!)), h);
    const y = T.checkpoint((y) => block(y, w!, c!), inside);
    return { loss: T.sum(y), leaves: [w!, b!, v!, c!], inner: [h] };
  },
  "a checkpoint that gives back a parameter, and one whose argument is one": () => {
    const [p, q] = [leaf([3], 1), leaf([3], 2)];
    const given = T.checkpoint(() => p, device.ones([3]));
    return {
      loss: T.sum(
        T.mul(
          given,
          T.checkpoint((y) => T.mul(T.square(y), p), q),
        ),
      ),
      leaves: [p, q],
    };
  },
  "side by side in memory": () => {
    const all = layers().flat();
    T.layTogether(all);
    const x = block(block(input(), all[0]!, all[1]!), all[2]!, all[3]!);
    return { loss: T.sum(block(x, all[4]!, all[5]!)), leaves: all };
  },
  ...(halves && {
    "of f16, some in a checkpoint": () => {
      const [[w, b], [v, c]] = layers("f16") as [T.Tensor[], T.Tensor[]];
      const x = T.checkpoint((y) => block(y, w!, b!), block(input("f16"), v!, b!));
      return { loss: T.cast(T.sum(T.add(T.matmul(x, w!), c!)), "f32"), leaves: [w!, b!, v!, c!] };
    },
  }),
};

type Values = readonly (readonly [place: number, values: readonly number[]])[];

/** The gradients of a graph that is made anew, by the places of their tensors. */
async function gradientsOf(
  make: () => Graph,
  optionsOf: (graph: Graph) => T.BackwardOptions,
): Promise<{ readonly result: Values; readonly told: Values; readonly same: boolean }> {
  const graph = make();
  const all = [...graph.leaves, ...(graph.inner ?? [])];
  const told: [tensor: T.Tensor, gradient: T.Tensor][] = [];
  const seen: (readonly [number, readonly number[]])[] = [];
  const reads: Promise<void>[] = [];
  const given = optionsOf(graph);
  const result = T.backward(graph.loss, {
    ...given,
    ...(given.onGradient && {
      onGradient: (tensor, gradient) => {
        told.push([tensor, gradient]);
        expect(T.gradEnabled()).toBe(false);
        const i = seen.push([all.indexOf(tensor), []]) - 1;
        reads.push(
          gradient.dataTo((values) => {
            seen[i] = [all.indexOf(tensor), [...values]];
          }),
        );
      },
    }),
  });
  await Promise.all(reads);
  const values = [...result].map(async ([tensor, dy]) => [all.indexOf(tensor), [...(await dy.data())]] as const);
  const same = told.every(([tensor, gradient]) => result.get(tensor) === gradient);
  for (const [tensor, dy] of result) expect([dy.shape, dy.dtype]).toEqual([tensor.shape, tensor.dtype]);
  return { result: await Promise.all(values), told: seen, same };
}

const onGradient = (): void => {};
const HOW: Readonly<Record<string, (graph: Graph) => T.BackwardOptions>> = {
  "all leaves": () => ({}),
  "the first and the last": ({ leaves }) => ({ wrt: [leaves[0]!, leaves.at(-1)!] }),
  "what is on the way and the result too": ({ leaves, inner = [], loss }) => ({
    wrt: [...new Set([...inner, leaves[0]!, loss.hasGraph ? loss : leaves[0]!])],
  }),
  "a graph that stays": () => ({ retainGraph: true }),
  "another gradient of the result": () => ({ grad: device.tensor([3], []) }),
};
const TABLE = Object.entries(GRAPHS).flatMap(([name, make]) =>
  Object.entries(HOW).map(([how, options]) => [name, how, make, options] as const),
);

describe("onGradient", () => {
  it.each(TABLE)("is told of each gradient once, with its last value: %s, %s", async (_, __, make, options) => {
    const plain = await gradientsOf(make, options);
    const told = await gradientsOf(make, (graph) => ({ ...options(graph), onGradient }));
    // To the bit, and in the same order.
    expect(told.result).toEqual(plain.result);
    expect(told.same).toBe(true);
    const inOrder = ([a]: Values[number], [b]: Values[number]): number => a - b;
    expect([...told.told].sort(inOrder)).toEqual([...plain.result].sort(inOrder));
    const again = await gradientsOf(make, (graph) => ({ ...options(graph), onGradient }));
    expect(again.told.map(([place]) => place)).toEqual(told.told.map(([place]) => place));
  });

  it("is told of the last layer first, before those before it have run again", () => {
    const all = layers();
    let [x, runs] = [input(), 0];
    for (const [w, b] of all) {
      x = T.checkpoint((y) => {
        runs++;
        return block(y, w!, b!);
      }, x);
    }
    const told: (readonly [layer: number, runs: number])[] = [];
    const layerOf = (x: T.Tensor): number => all.findIndex((own) => own.includes(x));
    T.backward(T.sum(x), { onGradient: (w) => void told.push([layerOf(w), runs]) });
    expect(told).toEqual([2, 2, 1, 1, 0, 0].map((layer) => [layer, 3 + 3 - layer]));
  });

  it("has what it computes without a graph, and leaves no memory behind", async () => {
    const step = async (): Promise<number> => {
      T.scope(() => {
        const all = layers();
        const x = all.reduce((x, [w, b]) => block(x, w!, b!), input());
        T.backward(T.sum(x), {
          onGradient: (_, gradient) => expect(T.mul(gradient, all[0]![0]!.shape[0]!).requiresGrad).toBe(false),
        });
      });
      await device.sync();
      return device.memory().liveBytes;
    };
    const first = await step();
    expect(await step()).toBe(first);
  });

  const refused: readonly (readonly [name: string, work: () => unknown, message: string])[] = [
    [
      "a captured function",
      () => {
        const w = leaf([2], 1);
        const captured = device.capture((x: T.Tensor) => {
          T.backward(T.sum(T.mul(w, x)), { onGradient });
          return x;
        });
        return captured(device.ones([2]));
      },
      "backward: onGradient in a function that is captured would be told in its first run alone",
    ],
    [
      "an asynchronous one",
      () => T.backward(T.sum(leaf([2], 1)), { onGradient: (async () => {}) as () => void }),
      "backward: the function is asynchronous",
    ],
    [
      "one that disposes of the gradient",
      () => T.backward(T.sum(leaf([2], 1)), { onGradient: (_, gradient) => gradient.dispose() }),
      "backward: onGradient disposed of the gradient of f32[2]: it is part of the result",
    ],
    [
      "a checkpoint that takes another parameter the second time",
      () => {
        const [w, v] = [leaf([2], 1), leaf([2], 2)];
        let runs = 0;
        const first = T.checkpoint((x) => T.mul(x, runs++ === 0 ? v : w), leaf([2], 3));
        return T.backward(T.sum(T.mul(first, w)), { onGradient });
      },
      "checkpoint: the function reads f32[2] when it runs again, and did not the first time",
    ],
  ];
  it.each(refused)("refuses in one line: %s", (_, work, message) => {
    expect(work).toThrow(message);
    expect(T.gradEnabled()).toBe(true);
  });
});

describe("dataTo", () => {
  it("gives the elements at once where the calling thread computes", async () => {
    const x = T.add(device.tensor([1, 2, 3]), 1);
    const seen: number[][] = [];
    const read = x.dataTo((values) => void seen.push([...values]));
    expect(seen.length).toBe(device.info.backend === "cpu" ? 1 : 0);
    x.dispose();
    await read;
    expect(seen).toEqual([[2, 3, 4]]);
    await device.zeros([0]).dataTo((values) => void seen.push([...values]));
    expect(seen[1]).toEqual([]);
  });

  it("rejects with what is thrown, and refuses what is no function", async () => {
    const x = device.tensor([1]);
    const thrown = new Error("no more");
    await expect(
      x.dataTo(() => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    await expect(x.dataTo(undefined as unknown as () => void)).rejects.toThrow("dataTo: take has to be a function");
    x.dispose();
    await expect(x.dataTo(() => {})).rejects.toThrow("dataTo: x f32[1] was disposed");
  });
});
