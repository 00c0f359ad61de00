import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { listSources, refuseSharedNames } from "../../src/data/sources.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("listSources", () => {
  test("files, folders with their sub-folders, and lists; each photograph once", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "set", "deep"), { recursive: true });
    for (const name of ["set/b.v2.jpg", "set/deep/c.png", "a.png"]) writeFileSync(join(folder, name), "");
    writeFileSync(
      join(folder, "list.tsv"),
      "filepath\ttitle\nset/b.v2.jpg\tagain\nHR/d.png\ta dog\n../e.png\t\n/f/g.png\t\n",
    );
    const inputs = ["set", "a.png", "list.tsv"].map((name) => join(folder, name));
    const { sources, skipped, titles } = await listSources(inputs, { written: [] });
    expect(sources.map(({ path, name }) => [path, name])).toEqual([
      [join(folder, "set", "b.v2.jpg"), "b.v2"],
      [join(folder, "set", "deep", "c.png"), join("deep", "c")],
      [join(folder, "a.png"), "a"],
      [join(folder, "HR", "d.png"), join("HR", "d")],
      [join(folder, "..", "e.png"), "e"],
      ["/f/g.png", "g"],
    ]);
    const twice = join(folder, "set", "b.v2.jpg");
    expect(skipped).toEqual([{ name: twice, reason: `${twice} is given more than once: it is taken once` }]);
    expect(titles.get(twice)).toBe("again");
    expect((await listSources([inputs[2]!], { written: [], root: "/root" })).sources[1]!.path).toBe("/root/HR/d.png");
  });

  test("what stands in a folder that is written is no photograph", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "out", "deep"), { recursive: true });
    for (const name of ["a.png", "out/a.png", "out/deep/b.png", "outside.png"]) writeFileSync(join(folder, name), "");
    const { sources } = await listSources([folder], { written: [join(folder, "out")] });
    expect(sources.map(({ name }) => name)).toEqual(["a", "outside"]);
    const inside = await listSources([join(folder, "out", "deep")], { written: [join(folder, "out")] });
    expect(inside.sources.map(({ name }) => name)).toEqual(["b"]);
    await expect(listSources([folder], { written: [`${folder}/`] })).rejects.toThrow(
      `output: ${folder} is the folder of the photographs: write to another one`,
    );
  });

  test("a folder without images and a path that is not there are told", async () => {
    const folder = temporaryFolder();
    await expect(listSources([folder], { written: [] })).rejects.toThrow(`folder: ${folder} holds no images (.jpg`);
    await expect(listSources([join(folder, "x.png")], { written: [] })).rejects.toThrow(
      "x.png does not exist: check the path",
    );
  });
});

test("two photographs that would be written to one file are refused", () => {
  const sources = ["a.png", "a.jpg", "b.png"].map((path) => ({ path, name: path.slice(0, 1) }));
  expect(() => refuseSharedNames(sources, (name) => `out/${name}.png`)).toThrow(
    "output: a.png and a.jpg would both be written to out/a.png: rename one",
  );
  refuseSharedNames(sources.slice(1), (name) => name);
});
