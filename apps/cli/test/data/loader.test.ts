import { describe, expect, test } from "vitest";
import { Loader, type LoaderOptions } from "../../src/data/loader.ts";
import type { SkippedItem } from "../../src/data/skipped.ts";

function loader(overrides: Partial<LoaderOptions<string>> = {}) {
  const skipped: SkippedItem[] = [];
  const names = Array.from({ length: 10 }, (_, i) => `image ${i}`);
  const made = new Loader<string>({
    names,
    batchSize: 4,
    seed: 3,
    load: async (index) => `pixels of ${index}`,
    onSkip: (item) => void skipped.push(item),
    ...overrides,
  });
  return { made, skipped };
}

const indices = async (made: Loader<string>, step: number): Promise<number[]> =>
  (await made.batch(step)).map(({ index }) => index);

describe("Loader", () => {
  test("every epoch holds each item at most once, in an order of its own that the seed decides", async () => {
    const { made } = loader();
    expect(made.batchesPerEpoch).toBe(2);
    const epochs = await Promise.all(
      [0, 1].map(async (e) => [...(await indices(made, 2 * e + 1)), ...(await indices(made, 2 * e + 2))]),
    );
    for (const epoch of epochs) expect(new Set(epoch).size).toBe(8);
    expect(epochs[0]).not.toEqual(epochs[1]);
    const again = loader().made;
    expect(await indices(again, 4)).toEqual(epochs[1]!.slice(4));
    expect(await indices(loader({ seed: 4 }).made, 1)).not.toEqual(epochs[0]!.slice(0, 4));
  });

  test("a data set smaller than a batch is repeated; without shuffling the order is the list's", async () => {
    const { made } = loader({ names: ["a", "b", "c"], shuffle: false });
    expect(made.batchesPerEpoch).toBe(1);
    expect(await indices(made, 1)).toEqual([0, 1, 2, 0]);
  });

  test("a training that goes on in the middle gets the batches that it would have got, whatever was bad", async () => {
    const load = async (index: number): Promise<string> => {
      if (index % 3 === 1) throw new Error("no image");
      return `pixels of ${index}`;
    };
    const through = loader({ load }).made;
    const batches: number[][] = [];
    for (let step = 1; step <= 7; step++) batches.push(await indices(through, step));
    const resumed = loader({ load }).made;
    for (let step = 5; step <= 7; step++) expect(await indices(resumed, step)).toEqual(batches[step - 1]);
  });

  test("a bad item is told once, counted, and replaced by the next good one", async () => {
    const { made, skipped } = loader({
      load: async (index) => {
        if (index === 2 || index === 3) throw new Error(`image ${index} is truncated`);
        return `pixels of ${index}`;
      },
    });
    const seen: number[] = [];
    for (let step = 1; step <= 6; step++) seen.push(...(await indices(made, step)));
    expect(seen).not.toContain(2);
    expect(seen).not.toContain(3);
    expect(seen).toHaveLength(24);
    expect(skipped.map(({ name }) => name).sort()).toEqual(["image 2", "image 3"]);
    expect(made.skipped).toHaveLength(2);
    expect(skipped[0]!.reason).toMatch(/is truncated$/);
    const repeated = loader({
      names: ["a", "a", "b"],
      load: async (i) => (i < 2 ? Promise.reject(new Error("bad")) : "b"),
    });
    await repeated.made.batch(1);
    expect(repeated.skipped).toEqual([{ name: "a", reason: "bad" }]);
  });

  test("only a data set without any good item ends the run", async () => {
    const { made } = loader({ load: async () => Promise.reject(new Error("no image")) });
    await expect(made.batch(1)).rejects.toThrow("data: none of 10 items can be loaded; the first one: no image");
    expect(() => loader({ names: [] })).toThrow("data: the data set is empty");
  });
});
