import { backward, checkpoint, Rng, requireGrad, square, sum, type Tensor } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { BatchNorm2d, Conv2d, type Init, Module, SyncBatchNorm, type SyncGroup } from "../src/index.ts";

const device = await testDevice();
const init: Init = { device, rng: new Rng(7) };

/** Two processes, of which the other one always tells the same. `calls` are those of this one. */
function besides(gathered: readonly number[], reduced: readonly number[], calls: string[] = []): SyncGroup {
  const gather = (values: Float64Array): Float64Array[] => {
    calls.push("gather");
    return [values, Float64Array.from(gathered)];
  };
  const reduce = (values: Float64Array): Float64Array => {
    calls.push("reduce");
    return values.map((value, i) => value + reduced[i]!);
  };
  return {
    ...{ size: 2, allGather: async (values) => gather(values), allGatherSync: gather },
    ...{ allReduce: async (values) => reduce(values), allReduceSync: reduce },
  };
}

const alone: SyncGroup = { ...besides([], []), size: 1 };
const numbers = async (x: Tensor): Promise<number[]> => Array.from(await x.data());

/** A network with normalisations wherever they can stand. */
class Holder extends Module {
  readonly convolution = new Conv2d(1, 2, 1, {}, init);
  readonly norm = new BatchNorm2d(2, {}, init);
  readonly again = this.norm;
  readonly list = [new BatchNorm2d(1, {}, init), [new BatchNorm2d(1, {}, init)]];
  readonly byName = { first: new BatchNorm2d(1, {}, init) };
  readonly map = new Map([["one", new BatchNorm2d(1, {}, init)]]);
  readonly set = new Set([new BatchNorm2d(1, {}, init), new Conv2d(1, 1, 1, {}, init)]);
  readonly child: Module | null;

  constructor(child: Module | null) {
    super();
    this.child = child;
  }
}

describe("convertSyncBatchNorm", () => {
  it("takes the place of all there are, with their tensors under their names", () => {
    const module = new Holder(new Holder(null));
    const before = [...module.stateDict()];
    const converted: Holder = SyncBatchNorm.convertSyncBatchNorm(module, alone);
    expect(converted).toBe(module);
    for (const { norm, again, list, byName, map, set } of [module, module.child as Holder]) {
      const [inSet, kept] = [...set];
      for (const each of [norm, list[0], (list[1] as unknown[])[0], byName.first, map.get("one"), inSet])
        expect(each).toBeInstanceOf(SyncBatchNorm);
      expect(again).toBe(norm);
      expect(kept).toBeInstanceOf(Conv2d);
    }
    const after = [...module.stateDict()];
    expect(after.map(([name]) => name)).toEqual(before.map(([name]) => name));
    for (const [i, [, tensor]] of after.entries()) expect(tensor).toBe(before[i]![1]);
    const norm = module.norm;
    SyncBatchNorm.convertSyncBatchNorm(module, alone);
    expect(module.norm).toBe(norm);
  });

  it("gives what takes the place of a layer itself", () => {
    const layer = new BatchNorm2d(2, {}, init);
    const sync = SyncBatchNorm.convertSyncBatchNorm(layer, alone);
    expect(sync).toBeInstanceOf(SyncBatchNorm);
    expect([...sync.parameters()]).toEqual([...layer.parameters()]);
  });

  it("names a field that it cannot write", () => {
    const module = Object.freeze(new Holder(null));
    expect(() => SyncBatchNorm.convertSyncBatchNorm(module, alone)).toThrow(
      "convertSyncBatchNorm: Holder.norm cannot be written",
    );
  });
});

describe("SyncBatchNorm", () => {
  const x = (): Tensor => requireGrad(device.tensor([1, 3, 10, 10], [1, 2, 1, 2]));
  // Of [5, 7] and [10, 14]: how many, means, sums of squared distances.
  const others = [2, 6, 12, 2, 8];

  it("normalises with the statistics of all processes, and moves the running ones towards them", async () => {
    const layer = new SyncBatchNorm(
      new BatchNorm2d(2, { momentum: 0.5, eps: 0 }, init),
      besides(others, [2, 0, 0, 0, 0]),
    );
    const y = layer.forward(x(), { training: true });
    const [a, b] = [Math.sqrt(5), Math.sqrt(3)];
    expectClose(await numbers(y), [-3 / a, -1 / a, -1 / b, -1 / b]);
    expectClose(await numbers(layer.norm.runningMean), [2, 5.5]);
    expectClose(await numbers(layer.norm.runningVar), [0.5 + (0.5 * 20) / 3, 0.5 + (0.5 * 12) / 3]);
    expect(await layer.norm.numBatchesTracked.item()).toBe(1);
  });

  it("takes a single value, as long as others have more", async () => {
    const layer = new SyncBatchNorm(new BatchNorm2d(1, { eps: 0 }, init), besides([3, 4, 6], [3, 0, 0]));
    const y = layer.forward(device.tensor([0], [1, 1, 1, 1]), { training: true });
    // Mean 3, squared distances 6 + 3 + 9 = 18.
    expectClose(await numbers(y), [-3 / Math.sqrt(4.5)]);
  });

  it("asks in the forward pass, in the backward pass, and once more where it is computed again", async () => {
    const calls: string[] = [];
    const layer = new SyncBatchNorm(
      new BatchNorm2d(2, { momentum: 0.5 }, init),
      besides(others, [2, 0, 0, 0, 0], calls),
    );
    const run = (input: Tensor): Tensor => layer.forward(input, { training: true });
    const found: number[][][] = [];
    for (const forward of [run, (input: Tensor) => checkpoint(run, input)]) {
      const input = x();
      const gradients = backward(sum(square(forward(input))));
      const all = [input, layer.norm.weight, layer.norm.bias].map((t) => gradients.get(t)!);
      found.push(await Promise.all(all.map(numbers)));
    }
    expect(calls).toEqual(["gather", "reduce", "gather", "gather", "reduce"]);
    expect(found[1]).toEqual(found[0]);
    expect(await layer.norm.numBatchesTracked.item()).toBe(2);
  });

  it("is a BatchNorm2d in inference, and where it is alone", async () => {
    const layers = [0, 1].map(() => new BatchNorm2d(2, {}, init));
    const [plain, own] = layers as [BatchNorm2d, BatchNorm2d];
    const sync = new SyncBatchNorm(own, alone);
    for (const training of [true, false]) {
      expect(await numbers(sync.forward(x(), { training }))).toEqual(await numbers(plain.forward(x(), { training })));
    }
    const asks = new SyncBatchNorm(own, besides([], []));
    expect(await numbers(asks.forward(x()))).toEqual(await numbers(plain.forward(x())));
    for (const name of ["runningMean", "runningVar"] as const)
      expect(await numbers(own[name])).toEqual(await numbers(plain[name]));
    expect(() => sync.forward(device.zeros([1, 2, 1, 1]), { training: true })).toThrow(
      "BatchNorm2d: training needs more",
    );
  });
});
