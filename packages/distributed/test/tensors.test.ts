import { Device, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { agree, broadcastTensors, checkSame, gatherTexts, type ProcessGroup } from "../src/index.ts";
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

/** What comes of it in rank 0, whose others wait once it has refused. */
async function first(size: number, work: (group: ProcessGroup) => Promise<void>): Promise<string> {
  const [lead, ...others] = localGroup(size).map((group) => work(group));
  for (const other of others) other.catch(() => undefined);
  return lead!.then(
    () => "nothing",
    (error: unknown) => String(error),
  );
}

describe("checkSame", () => {
  it("is content with the same bits", async () => {
    expect(await first(3, (group) => checkSame(group, own(0), "weights"))).toBe("nothing");
  });

  it("names the first tensor that differs, and its rank", async () => {
    expect(await first(3, (group) => checkSame(group, own(group.rank, Number(group.rank === 2)), "the weights"))).toBe(
      "DistributedError: the weights of rank 2 on localhost are not those of rank 0: the first that differs is weight",
    );
    const counts = (rank: number): ReadonlyMap<string, Tensor> =>
      new Map([...own(0), ["count", device.tensor(Int32Array.of(rank), [])]]);
    expect(await first(2, (group) => checkSame(group, counts(group.rank), "the weights"))).toContain(
      "of rank 1 on localhost are not those of rank 0: the first that differs is count",
    );
    const fewer = (rank: number): ReadonlyMap<string, Tensor> => new Map([...own(0)].slice(0, 3 - rank));
    expect(await first(2, (group) => checkSame(group, fewer(group.rank), "the weights"))).toContain("their number");
  });

  it("sees a single bit", async () => {
    const values = Float32Array.from({ length: 1001 }, (_, i) => Math.sin(i));
    for (const at of [0, 500, 1000]) {
      const changed = values.slice();
      new Uint32Array(changed.buffer)[at]! ^= 1;
      const tensors = [values, changed].map((data) => new Map([["x", device.tensor(data)]]));
      expect(await first(2, (group) => checkSame(group, tensors[group.rank]!, "x"))).toContain("rank 1");
    }
  });
});

describe("agree", () => {
  it("is content where all have the same", async () => {
    expect(await first(2, (group) => agree(group, new Map([["version", "1"]])))).toBe("nothing");
  });

  it.each([
    [new Map([["a", "1"], ["b", "3"]]), "b is 3 in rank 1 on localhost, and 2 in rank 0 on localhost"], // biome-ignore format: a table
    [new Map([["a", "1"]]), "b is not there in rank 1 on localhost, and 2 in rank 0"],
    [new Map([["a", "1"], ["b", "2"], ["c", "x".repeat(100)]]), `c is ${"x".repeat(60)}... in rank 1`], // biome-ignore format: a table
  ])("names what differs", async (other, message) => {
    const facts = new Map([["a", "1"], ["b", "2"]]); // biome-ignore format: a table
    expect(await first(2, (group) => agree(group, group.rank === 1 ? other : facts))).toContain(message);
  });

  it("ends the others as well, once rank 0 lets them go", async () => {
    const ends = localGroup(2).map(async (group) => {
      await agree(group, new Map([["rank", String(group.rank)]])).catch(() => undefined);
      if (group.rank === 0) await group.barrier();
      return "ended";
    });
    expect(await Promise.all(ends)).toEqual(["ended", "ended"]);
  });
});

it("gathers texts", async () => {
  const texts = await Promise.all(localGroup(2).map((group) => gatherTexts(group, `é ${group.rank}`)));
  expect(texts).toEqual([["é 0", "é 1"], ["é 0", "é 1"]]); // biome-ignore format: a table
});
