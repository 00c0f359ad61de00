import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { formatTable, parseTable, readTable, writeTable } from "../../src/data/tsv.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("parseTable", () => {
  test("reads rows by column name", () => {
    const table = parseTable("filepath\ttitle\na.png\ta cat\nb.png\ta dog", "t.tsv", ["filepath", "title"]);
    expect(table.rows).toEqual([
      { filepath: "a.png", title: "a cat" },
      { filepath: "b.png", title: "a dog" },
    ]);
    expect(table.bad).toEqual([]);
  });

  test("understands CRLF, a byte order mark, empty lines and empty cells", () => {
    const table = parseTable("\uFEFFfilepath\ttitle\r\na.png\t\r\n\r\nb.png\tdog\r\n", "t.tsv", ["filepath"]);
    expect(table.columns).toEqual(["filepath", "title"]);
    expect(table.rows).toEqual([
      { filepath: "a.png", title: "" },
      { filepath: "b.png", title: "dog" },
    ]);
  });

  test("a caption with emoji passes unchanged; a quoted one may hold tabs, quotes and line breaks", () => {
    const table = parseTable(
      'filepath\ttitle\na.png\t🐑 sheep 羊\nb.png\t"two\tcells, ""really""\nyes"\nc.png\t5" pipe\n',
      "t.tsv",
    );
    expect(table.rows.map((row) => row.title)).toEqual(["🐑 sheep 羊", 'two\tcells, "really"\nyes', '5" pipe']);
  });

  test("a caption with a bare tab makes a bad row that is counted with its line, the others stay", () => {
    const table = parseTable('filepath\ttitle\n"q\n"\tx\na.png\tone\ttwo\nb.png\tdog\nc.png\n', "t.tsv");
    expect(table.rows.map((row) => row.filepath)).toEqual(["q\n", "b.png"]);
    expect(table.bad).toEqual([
      { line: 4, reason: "3 cells where the header has 2 (a tab inside a caption needs quotes around the cell)" },
      { line: 6, reason: "1 cell where the header has 2" },
    ]);
  });

  test("a missing column is named with what is there and a hint", () => {
    expect(() => parseTable("filepath\ttitle\n", "t.tsv", ["filepath", "title", "title2"])).toThrow(
      'tsv: t.tsv has no column "title2" (it has "filepath", "title"; "filepath", "title", "title2" are needed): add it to the header and to every row',
    );
    expect(() => parseTable("file_path\ttitle\n", "t.tsv", ["filepath"])).toThrow('is "file_path" meant?');
    expect(() => parseTable("filepath,title\n", "t.tsv", ["filepath"])).toThrow("separated by tabs here, not commas");
  });

  test("an empty file and an open quote are errors", () => {
    expect(() => parseTable("", "t.tsv", ["filepath"])).toThrow('t.tsv is empty: a header line with "filepath"');
    expect(() => parseTable('a\tb\n1\t"2\n', "t.tsv")).toThrow("t.tsv line 2: a quote is opened and never closed");
  });
});

test("what is written is read back, and text is quoted only where it must be", async () => {
  const rows = [
    { filepath: "a.png", title: "plain" },
    { filepath: "b.png", title: 'tab\t, "quote"\r\nand break' },
    { filepath: "c.png", title: "" },
  ];
  expect(formatTable(["filepath", "title"], rows.slice(0, 1))).toBe("filepath\ttitle\na.png\tplain\n");
  const path = join(temporaryFolder(), "t.tsv");
  await writeTable(path, ["filepath", "title"], rows);
  expect((await readTable(path)).rows).toEqual(rows);
});

test("readTable names a file that is not there", async () => {
  const folder = temporaryFolder();
  await expect(readTable(join(folder, "none.tsv"))).rejects.toThrow("none.tsv does not exist: check the path");
  writeFileSync(join(folder, "x.tsv"), "title\n");
  await expect(readTable(join(folder, "x.tsv"), ["filepath"])).rejects.toThrow('has no column "filepath"');
});
