import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CaptionTable } from "../../src/captions/table.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("CaptionTable", () => {
  test("has a row as soon as a caption is known, and in the end the photographs in their order, then earlier ones", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "lists", "c.tsv");
    const [a, b, c] = ["a.png", "b.png", "c.png"].map((name) => join(folder, "photos", name)) as [
      string,
      string,
      string,
    ];
    const first = await CaptionTable.open(file, false);
    await first.begin([[b, "a dog"]]);
    first.add(a, 'a "cat",\twhite');
    // An absolute path that leads out of the table's folder stays as it is.
    const rows = [`${b}\ta dog`, `${a}\t"a ""cat"",\twhite"`];
    expect(readFileSync(file, "utf8")).toBe(`filepath\ttitle\n${rows.join("\n")}\n`);
    await first.finish([a, c]);
    const again = await CaptionTable.open(file, false);
    expect([a, b, c].map((path) => again.titleOf(path))).toEqual(['a "cat",\twhite', "a dog", undefined]);
    expect(readFileSync(file, "utf8")).toBe(`filepath\ttitle\n${rows[1]}\n${c}\t\n${rows[0]}\n`);
    expect((await CaptionTable.open(file, true)).titleOf(a)).toBeUndefined();
  });

  test("paths count from its folder; a row that was added later fills an empty one", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "c.csv");
    writeFileSync(file, "\uFEFFfilepath\ttitle\r\nsub/../a.png\t\r\nb.png\tx\r\na.png\ta cow");
    const table = await CaptionTable.open(file, false);
    expect([table.titleOf(join(folder, "a.png")), table.titleOf(join(folder, "b.png"))]).toEqual(["a cow", "x"]);
    await table.finish([join(folder, "a.png")]);
    expect(readFileSync(file, "utf8")).toBe("filepath\ttitle\na.png\ta cow\nb.png\tx\n");
  });

  test("what would be lost is refused: other columns, rows that cannot be read, what is no table", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "c.tsv");
    const opened = (text: string | Uint8Array): Promise<unknown> => {
      writeFileSync(file, text);
      return CaptionTable.open(file, false);
    };
    await expect(opened("filepath\ttitle\ttitle2\n")).rejects.toThrow(
      `captions: ${file} holds more than captions (title2): choose another --out, or --overwrite to begin anew`,
    );
    await expect(opened("filepath\ttitle\na.png\ta\tb\n")).rejects.toThrow(
      "c.tsv line 2: 3 cells where the header has 2",
    );
    await expect(opened("notes")).rejects.toThrow('has no column "filepath", "title"');
    await expect(opened(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16))).rejects.toThrow(
      "c.tsv is a photo (JPEG), and text",
    );
  });
});
