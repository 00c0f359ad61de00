import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { crop, fromPlanes, sideBySide, toPlanes } from "../../src/data/crop.ts";
import { type Image, writeImage } from "../../src/data/image.ts";
import { listPairs, lowQualityPath, type PairedSource, randomPatch, readPair, turned } from "../../src/data/paired.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const FOLDERS: PairedSource = {
  type: "PairedImageDataset",
  dataroot_gt: null,
  dataroot_lq: null,
  meta_info: null,
  meta_info_file: null,
  filename_tmpl: "{}x2",
};

/** Every pixel twice in both directions: the pair of an image under nearest neighbour. */
function doubled({ width, height, data }: Image): Image {
  const large = new Uint8Array(width * height * 12);
  for (let y = 0; y < 2 * height; y++) {
    for (let x = 0; x < 2 * width; x++) {
      for (let c = 0; c < 3; c++) large[(y * 2 * width + x) * 3 + c] = data[((y >> 1) * width + (x >> 1)) * 3 + c]!;
    }
  }
  return { width: 2 * width, height: 2 * height, data: large };
}

describe("listPairs", () => {
  test("two folders: the names follow the template, the ending may be another one", async () => {
    const folder = temporaryFolder();
    for (const name of ["gt/b.jpg", "gt/a.png", "lq/ax2.png", "lq/bx2.png"]) {
      await writeImage(join(folder, name), picture(4, 4));
    }
    const source = { ...FOLDERS, dataroot_gt: join(folder, "gt"), dataroot_lq: join(folder, "lq") };
    const { pairs } = await listPairs(source, 2, "datasets.train");
    expect(pairs).toEqual([
      { gt: join(folder, "gt", "a.png"), lq: join(folder, "lq", "ax2.png") },
      { gt: join(folder, "gt", "b.jpg"), lq: join(folder, "lq", "bx2.png") },
    ]);
    await writeImage(join(folder, "gt", "a.jpg"), picture(4, 4));
    await expect(listPairs(source, 2, "datasets.train")).rejects.toThrow(
      `data: ${pairs[0]!.lq} belongs to both ${join(folder, "gt", "a.jpg")} and ${pairs[0]!.gt}: give them different names`,
    );
  });

  test("several folders, two by two", async () => {
    const folder = temporaryFolder();
    for (const name of ["gt1/a.png", "lq1/ax2.png", "gt2/a.png", "gt2/b.png", "lq2/ax2.png", "lq2/bx2.png"]) {
      await writeImage(join(folder, name), picture(4, 4));
    }
    const [gt, lq] = [
      [join(folder, "gt1"), join(folder, "gt2")],
      [join(folder, "lq1"), join(folder, "lq2")],
    ];
    const { pairs } = await listPairs({ ...FOLDERS, dataroot_gt: gt, dataroot_lq: lq }, 2, "datasets.train");
    expect(pairs.map((pair) => pair.lq)).toEqual([
      join(folder, "lq1", "ax2.png"),
      join(folder, "lq2", "ax2.png"),
      join(folder, "lq2", "bx2.png"),
    ]);
    await expect(listPairs({ ...FOLDERS, dataroot_gt: gt, dataroot_lq: lq[0]! }, 2, "datasets.train")).rejects.toThrow(
      "config: datasets.train.dataroot_gt names 2 folders and datasets.train.dataroot_lq 1: they belong together two by two",
    );
    const source = { ...FOLDERS, dataroot_gt: gt, dataroot_lq: lq, meta_info_file: "meta.txt" };
    await expect(listPairs(source, 2, "datasets.train")).rejects.toThrow(/meta.txt|one dataroot_gt/);
  });

  test("absolute paths of a meta-info file stay as they are", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "lq"));
    const list = join(folder, "meta.txt");
    writeFileSync(list, `${join(folder, "gt", "baby.png")} (512,512,3)\n${join(folder, "gt", "head.png")}\n`);
    const source = { ...FOLDERS, dataroot_gt: "elsewhere", dataroot_lq: join(folder, "lq"), meta_info_file: list };
    const { pairs } = await listPairs(source, 2, "datasets.train");
    expect(pairs.map(({ gt }) => gt)).toEqual([join(folder, "gt", "baby.png"), join(folder, "gt", "head.png")]);
  });

  test("a meta-info file names the originals that are wanted, with or without their sizes", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "lq"));
    const list = join(folder, "meta.txt");
    writeFileSync(list, "\uFEFFb_s001.png (480,480,3)\r\n\r\nsub/two words.png\r\n");
    const source = { ...FOLDERS, dataroot_gt: "gt", dataroot_lq: join(folder, "lq"), meta_info_file: list };
    const { pairs } = await listPairs(source, 2, "datasets.train");
    expect(pairs).toEqual([
      { gt: join("gt", "b_s001.png"), lq: join(folder, "lq", "b_s001x2.png") },
      { gt: join("gt", "sub", "two words.png"), lq: join(folder, "lq", "two wordsx2.png") },
    ]);
    writeFileSync(list, "\n");
    await expect(listPairs(source, 2, "datasets.train")).rejects.toThrow("meta.txt names no images");
  });

  test("a TSV of originals: HR becomes RealLQ or RealLQx4, only as a folder's whole name", async () => {
    const folder = temporaryFolder();
    const table = join(folder, "t.tsv");
    writeFileSync(table, "filepath\ttitle\ndata/HR/train/0001.png\ta cat\ndata/HR/2.jpg\tb\n3.png\n");
    await writeImage(join(folder, "data/RealLQx4/2.png"), picture(4, 4));
    const source: PairedSource = { ...FOLDERS, type: "PairedImageDataset_LSDIR", meta_info: table };
    const { pairs, skipped } = await listPairs(source, 4, "datasets.train");
    expect(pairs).toEqual([
      { gt: join(folder, "data/HR/train/0001.png"), lq: join(folder, "data/RealLQx4/train/0001.png") },
      { gt: join(folder, "data/HR/2.jpg"), lq: join(folder, "data/RealLQx4/2.png") },
    ]);
    expect(skipped).toEqual([{ name: `${table} line 4`, reason: "1 cell where the header has 2" }]);
    expect(lowQualityPath("/sets/HRA/HR/x.png", 2)).toBe("/sets/HRA/RealLQ/x.png");
    expect(() => lowQualityPath("/sets/a.png", 2)).toThrow("has no folder named HR in its path");
  });

  test("what is missing is named by its key", async () => {
    await expect(listPairs(FOLDERS, 2, "datasets.val")).rejects.toThrow(
      "datasets.val.dataroot_gt and datasets.val.dataroot_lq",
    );
    const source: PairedSource = { ...FOLDERS, type: "PairedImageDataset_LSDIR" };
    await expect(listPairs(source, 2, "datasets.train")).rejects.toThrow("datasets.train.meta_info is missing");
    const empty = temporaryFolder();
    mkdirSync(join(empty, "gt"));
    const folders = { ...FOLDERS, dataroot_gt: join(empty, "gt"), dataroot_lq: empty };
    await expect(listPairs(folders, 2, "datasets.train")).rejects.toThrow("gt holds no images");
  });
});

describe("readPair", () => {
  test("names the original where neither can be read, whichever is found out first", async () => {
    const read = async (path: string): Promise<never> => {
      if (path === "gt.png") await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error(`${path} is none`);
    };
    await expect(readPair({ gt: "gt.png", lq: "lq.png" }, 2, 1, read)).rejects.toThrow("gt.png is none");
  });

  test("an original that is a little too large is cut, one of another size is refused", async () => {
    const folder = temporaryFolder();
    const paths = { gt: join(folder, "gt.png"), lq: join(folder, "lq.png") };
    await writeImage(paths.lq, picture(5, 4));
    await writeImage(paths.gt, picture(11, 8));
    const pair = await readPair(paths, 2);
    expect([pair.gt.width, pair.gt.height]).toEqual([10, 8]);
    expect(pair.gt).toEqual(crop(picture(11, 8), { left: 0, top: 0, width: 10, height: 8 }));
    await expect(readPair(paths, 2, 6)).rejects.toThrow(
      `data: ${paths.lq} is 5x4, smaller than the square of 6 pixels to be cut from it`,
    );
    await writeImage(paths.gt, picture(12, 8));
    await expect(readPair(paths, 2)).rejects.toThrow(
      `${paths.gt} is 12x8 where ${paths.lq} times 2 is 10x8: the two are no pair`,
    );
  });
});

describe("randomPatch", () => {
  test("both sides are cut and turned alike", () => {
    const lq = picture(13, 9);
    const pair = { lq, gt: doubled(lq) };
    for (let seed = 0; seed < 20; seed++) {
      const patch = randomPatch(pair, 6, { flip: true, rotate: true }, new Rng(seed));
      expect([patch.lq.width, patch.lq.height, patch.gt.width]).toEqual([6, 6, 12]);
      expect(patch.gt).toEqual(doubled(patch.lq));
    }
  });

  test("all eight ways of turning occur, each mirror once", () => {
    const square = picture(3, 3);
    const ways = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => turned(square, (bits & 1) > 0, (bits & 2) > 0, (bits & 4) > 0));
    expect(new Set(ways.map(({ data }) => data.join())).size).toBe(8);
    const corner = (image: Image, x: number, y: number): number[] => [
      ...image.data.subarray((y * 3 + x) * 3, (y * 3 + x) * 3 + 3),
    ];
    expect(corner(ways[1]!, 0, 0)).toEqual(corner(square, 2, 0));
    expect(corner(ways[2]!, 0, 0)).toEqual(corner(square, 0, 2));
    expect(corner(ways[4]!, 1, 0)).toEqual(corner(square, 0, 1));
  });
});

describe("planes", () => {
  test("images become planes in [0, 1] and come back", () => {
    const images = [picture(5, 4, 1), picture(5, 4, 2)];
    const planes = toPlanes(images);
    expect(planes.length).toBe(2 * 3 * 20);
    expect(planes[20 * 3 + 20 + 7]).toBeCloseTo(images[1]!.data[7 * 3 + 1]! / 255, 7);
    expect(fromPlanes(planes, 5, 4)).toEqual(images);
    expect(() => toPlanes([picture(5, 4), picture(4, 5)])).toThrow("one size: 5x4 and 4x5");
  });

  test("values are clamped and rounded; one that is no number is named with its place", () => {
    const [image] = fromPlanes(Float32Array.of(-0.1, 1.5, 0.5 / 255), 1, 1);
    expect([...image!.data]).toEqual([0, 255, 1]);
    expect(() => fromPlanes(Float32Array.of(0, 0, 0, 0, 0, Number.NaN), 2, 1)).toThrow("pixel 1, 0 of image 0 is NaN");
  });

  test("a rectangle outside of the image is refused", () => {
    expect(() => crop(picture(3, 3), { left: 1, top: 0, width: 3, height: 1 })).toThrow(
      "is not inside the image of 3x3",
    );
  });

  test("sideBySide sets images beside each other on white", () => {
    const joined = sideBySide([picture(2, 3), picture(4, 2)], 1);
    expect([joined.width, joined.height]).toEqual([7, 3]);
    expect([...joined.data.subarray(2 * 3, 3 * 3)]).toEqual([255, 255, 255]);
    expect(crop(joined, { left: 3, top: 0, width: 4, height: 2 })).toEqual(picture(4, 2));
  });
});
