import { Device, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { broadcastTensors, checkSameTensors, gatherRows, type ProcessGroup } from "../src/index.ts";
import { localGroup } from "../src/testing.ts";

const device = await Device.request({ backend: "cpu" });
afterAll(() => device.destroy());

/** The tensors of a rank: floats and whole numbers. */
const own = (rank: number, value = rank): ReadonlyMap<string, Tensor> =>
  new Map([
    ["weight", device.tensor([1, value, Number.NaN, -0], [2, 2])],
    ["count", device.tensor(Int32Array.of(7 + value), [])],
    ["bias", device.tensor([0.1], [1])],
  ]);

const valuesOf = (tensors: ReadonlyMap<string, Tensor>) =>
  Promise.all([...tensors.values()].map(async (tensor) => Array.from(await tensor.data())));

describe("broadcastTensors", () => {
  it("gives all ranks the values of one", async () => {
    const tensors = [0, 1, 2].map((rank) => own(rank));
    await Promise.all(localGroup(3).map((group) => broadcastTensors(group, tensors[group.rank]!, 1)));
    const expected = await valuesOf(own(1));
    for (const each of tensors) {
      expect(await valuesOf(each)).toEqual(expected);
      expect(each.get("count")!.dtype).toBe("i32");
    }
  });
});

/** What comes of it, in all ranks. */
async function outcome(size: number, work: (group: ProcessGroup) => Promise<void>): Promise<string> {
  const ends = await Promise.allSettled(localGroup(size).map(work));
  const texts = ends.map((end) => (end.status === "fulfilled" ? "nothing" : String(end.reason)));
  expect(new Set(texts).size).toBe(1);
  return texts[0]!;
}

describe("gatherRows", () => {
  it("puts the rows of all ranks one behind the other", async () => {
    const rows = (rank: number): Tensor =>
      device.tensor(
        Float32Array.from({ length: (rank + 1) * 2 }, (_, i) => 10 * rank + i),
        [rank + 1, 2],
      );
    for (const whole of await Promise.all(localGroup(2).map((group) => gatherRows(group, rows(group.rank))))) {
      expect(whole.shape).toEqual([3, 2]);
      expect(Array.from(await whole.data())).toEqual([0, 1, 10, 11, 12, 13]);
    }
  });
});

describe("checkSameTensors", () => {
  it("is content with the same bits", async () => {
    expect(await outcome(3, (group) => checkSameTensors(group, own(0), "weights"))).toBe("nothing");
  });

  it("names the first tensor that differs, and its rank", async () => {
    expect(
      await outcome(3, (group) => checkSameTensors(group, own(group.rank, Number(group.rank === 2)), "the weights")),
    ).toBe(
      "DistributedError: the weights of rank 2 on localhost are not those of rank 0: the first that differs is weight",
    );
    const counts = (rank: number): ReadonlyMap<string, Tensor> =>
      new Map([...own(0), ["count", device.tensor(Int32Array.of(rank), [])]]);
    expect(await outcome(2, (group) => checkSameTensors(group, counts(group.rank), "the weights"))).toContain(
      "of rank 1 on localhost are not those of rank 0: the first that differs is count",
    );
    const fewer = (rank: number): ReadonlyMap<string, Tensor> => new Map([...own(0)].slice(0, 3 - rank));
    expect(await outcome(2, (group) => checkSameTensors(group, fewer(group.rank), "the weights"))).toContain(
      "their number",
    );
  });

  it("sees a single bit", async () => {
    const values = Float32Array.from({ length: 1001 }, (_, i) => Math.sin(i));
    for (const at of [0, 500, 1000]) {
      const changed = values.slice();
      new Uint32Array(changed.buffer)[at]! ^= 1;
      const tensors = [values, changed].map((data) => new Map([["x", device.tensor(data)]]));
      expect(await outcome(2, (group) => checkSameTensors(group, tensors[group.rank]!, "x"))).toContain("rank 1");
    }
  });
});
