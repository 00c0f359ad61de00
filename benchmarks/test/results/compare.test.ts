import type { NiqeModel } from "@deplsr/metrics";
import { expect, it } from "vitest";
import type { Image } from "../../../apps/cli/src/data/image.ts";
import { compareOn } from "../../src/results/compare.ts";
import type { Enlarger } from "../../src/results/enlargers.ts";
import type { TestSet } from "../../src/results/sets.ts";

const NIQE: NiqeModel = { label: "none", mean: new Float64Array(36), covariance: new Float64Array(1296) };
const flat = (side: number, level: number): Image => ({
  width: side,
  height: side,
  data: new Uint8Array(side * side * 3).fill(level),
});

/** Three originals of levels 10, 20, 30, and one that cannot be read. */
const SET: TestSet = {
  title: "Flat",
  about: "4 images",
  scale: 2,
  cases: [10, 20, 30, 0].map((level) => ({
    name: `${level}.png`,
    load: async () => {
      if (level === 0) throw new Error("0.png is no image");
      return { lq: flat(10, level), gt: flat(20, level) };
    },
  })),
};

/** Makes everything brighter by some levels, unless it fails. */
const brighter = (name: string, by: number, fails: (level: number) => boolean = () => false): Enlarger => ({
  name,
  scale: 2,
  async enlarge({ data }) {
    if (fails(data[0]!)) throw new Error("no room");
    return flat(20, data[0]! + by);
  },
});

it("measures the same images in every row, and leaves out what fails with one line each", async () => {
  const lines: string[] = [];
  const found = await compareOn(SET, {
    ours: [brighter("ours", 1)],
    plain: [brighter("bicubic", 2)],
    peers: [brighter("a peer", 4, (level) => level === 20), brighter("another", 1, () => true)],
    niqeModel: NIQE,
    limit: Number.POSITIVE_INFINITY,
    say: (line) => lines.push(line),
  });
  expect(found).toMatchObject({ title: "Flat", scale: 2, images: 2, of: 4, failed: ["another"] });
  const of = (error: number) => expect.closeTo(20 * Math.log10(255 / error), 9);
  expect(found.rows.map(({ name, ours, scores }) => [name, ours, scores.psnrRgb])).toEqual([
    ["ours", true, of(1)],
    ["bicubic", false, of(2)],
    ["a peer", false, of(4)],
  ]);
  expect(lines).toHaveLength(6);
  expect(lines[0]).toBe("0.png: 0.png is no image");
  expect(lines).toContain("Flat x2: 20.png: a peer: no room");
  expect(lines.filter((line) => line.includes("another: no room"))).toHaveLength(3);
  expect(lines.at(-1)).toContain("Flat x2: 2 images; ours ");
});

it("takes the first images of a set where few are wanted", async () => {
  const contest = { ours: [brighter("ours", 1)], plain: [], peers: [], niqeModel: NIQE, say: () => {} };
  expect(await compareOn(SET, { ...contest, limit: 2 })).toMatchObject({ images: 2, of: 4 });
});
