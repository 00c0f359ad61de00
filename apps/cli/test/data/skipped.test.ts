import { expect, test } from "vitest";
import { listSkipped } from "../../src/data/skipped.ts";
import { Output } from "../../src/output.ts";

test("what was left out is counted and listed, each with its name once", () => {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text) };
  const output = new Output(false, { stdout: stream, stderr: stream });
  listSkipped(output, [], "2 of 9 photographs");
  expect(lines).toEqual([]);
  const skipped = [
    { name: "a.png", reason: "image: a.png is empty" },
    { name: "t.tsv line 4", reason: "1 cell where the header has 2" },
  ];
  listSkipped(output, skipped, "2 of 9 photographs");
  expect(lines).toEqual([
    "warning: left out 2 of 9 photographs:\n",
    "warning: image: a.png is empty\n",
    "warning: t.tsv line 4: 1 cell where the header has 2\n",
  ]);
  lines.length = 0;
  listSkipped(output, [...skipped, ...skipped], "4 of 9 photographs", 1);
  expect(lines).toEqual([
    "warning: left out 4 of 9 photographs:\n",
    "warning: image: a.png is empty\n",
    "warning: and 3 more\n",
  ]);
});
