import { expect, test } from "vitest";
import { listSkipped, warnOfSkipped } from "../../src/data/skipped.ts";
import { Output } from "../../src/output.ts";
import { recordedOutput } from "../recorded-output.ts";

test("what was left out is counted and listed, each with its name once", () => {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text) };
  const output = new Output("text", { stdout: stream, stderr: stream });
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

test("of many items that are left out a run names ten, and says once that there are more", () => {
  const { output, stderr } = recordedOutput();
  const warn = warnOfSkipped(output);
  for (let i = 0; i < 40; i++) warn({ name: `${i}.png`, reason: "it does not exist" });
  const lines = stderr().trimEnd().split("\n");
  expect(lines).toHaveLength(11);
  expect(lines[0]).toBe("warning: data: 0.png is left out: it does not exist");
  expect(lines[10]).toBe("warning: data: more items are left out; they are counted at the end");
});
