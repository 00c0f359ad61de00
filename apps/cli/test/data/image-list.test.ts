import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readCaptions, readImageList } from "../../src/data/image-list.ts";
import { temporaryFolder } from "../temporary-folder.ts";

function file(name: string, text: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, text);
  return path;
}

describe("readImageList", () => {
  test("a TSV with a byte order mark and CRLF, with and without captions; the original's ends in .csv", async () => {
    for (const name of ["a.tsv", "a.csv"]) {
      const path = file(name, "\uFEFFfilepath\ttitle\r\nHR/1.png\ta cat\r\nHR/2.png\t\r\n3.png\r\n");
      expect(await readImageList(path, "/set")).toEqual({
        images: [
          { name: "HR/1.png", path: "/set/HR/1.png", title: "a cat" },
          { name: "HR/2.png", path: "/set/HR/2.png", title: null },
        ],
        bad: [{ name: `${path} line 4`, reason: "1 cell where the header has 2" }],
      });
    }
    const { images } = await readImageList(file("b.tsv", "filepath\n/abs/1.png\n"), "/set");
    expect(images).toEqual([{ name: "/abs/1.png", path: "/abs/1.png", title: null }]);
  });

  test("JSON: paths with captions, or a list of objects, of which bad ones are counted", async () => {
    const map = file("a.json", '\uFEFF{ "1.png": "a cat 🐈", "sub/2.png": "a dog" }');
    expect((await readImageList(map, "/set")).images).toEqual([
      { name: "1.png", path: "/set/1.png", title: "a cat 🐈" },
      { name: "sub/2.png", path: "/set/sub/2.png", title: "a dog" },
    ]);
    const list = file(
      "b.json",
      '[{ "path": "1.png" }, { "filepath": "2.png", "caption": "a dog" }, { "title": "x" }, "3.png", { "path": "4.png", "title": 4 }]',
    );
    const reason = "no text for its path, or for its title";
    expect(await readImageList(list, "/set")).toEqual({
      images: [
        { name: "1.png", path: "/set/1.png", title: null },
        { name: "2.png", path: "/set/2.png", title: "a dog" },
      ],
      bad: [3, 4, 5].map((entry) => ({ name: `${list} entry ${entry}`, reason })),
    });
  });

  test("a meta-info file", async () => {
    const path = file("meta.txt", "0001_s001.png (480,480,3)\nsub/2.png\n");
    expect((await readImageList(path, "/set")).images.map((image) => image.path)).toEqual([
      "/set/0001_s001.png",
      "/set/sub/2.png",
    ]);
  });

  test("what cannot be read is named in one line", async () => {
    await expect(readImageList(file("a.json", "{"))).rejects.toThrow(/^list: .*a.json is not valid JSON: /);
    await expect(readImageList(file("a.json", "3"))).rejects.toThrow("is neither");
    await expect(readImageList(file("a.json", "[{}]"))).rejects.toThrow("a.json names no images (1 bad entry)");
    await expect(readImageList("none.json")).rejects.toThrow("list: none.json does not exist: check the path");
    await expect(readImageList(file("a.tsv", "path\n1.png\n"))).rejects.toThrow('has no column "filepath"');
  });
});

describe("readCaptions", () => {
  test("finds a caption by path, else by the file's name where that is unmistakable", async () => {
    const path = file("a.tsv", "filepath\ttitle\nx/a.png\tfirst\ny/a.png\tsecond\nz/b.png\tthird\nc.png\t\n");
    const { captionOf } = await readCaptions(path);
    expect(captionOf(join(path, "..", "y", "a.png"))).toBe("second");
    expect(captionOf("elsewhere/b.png")).toBe("third");
    expect(captionOf("elsewhere/a.png")).toBeUndefined();
    expect(captionOf("c.png")).toBeUndefined();
  });
});
