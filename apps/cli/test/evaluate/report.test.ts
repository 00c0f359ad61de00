import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseTable } from "../../src/data/tsv.ts";
import type { Evaluation } from "../../src/evaluate/evaluate.ts";
import { evaluationFiles, printEvaluation, writeEvaluation } from "../../src/evaluate/report.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** Three images, one of them recognised. */
const EVALUATION: Evaluation = {
  accuracy: { blur: 1 / 3 },
  chance: { blur: 0.25 },
  constant: { blur: 2 / 3 },
  constantAnswer: { blur: "1.0" },
  confusion: {
    blur: {
      levels: ["0.0", "1.0", "2.0"],
      counts: [
        [0, 1, 0],
        [1, 1, 0],
        [0, 0, 0],
      ],
      right: [0, 0.5, null],
    },
  },
  answers: [
    { filepath: "a b.png", kind: "blur", level: "0.3", answer: "1.0", probability: 0.75, right: false },
    { filepath: "c.png", kind: "blur", level: "1.2", answer: "1.0", probability: 0.5, right: true },
  ],
  retrieval: null,
  images: 3,
  skipped: [],
};

test("an evaluation is printed with its tables, and what one answer would do better", () => {
  const { output, stdout, stderr } = recordedOutput();
  printEvaluation(EVALUATION, output);
  expect(stdout().split("\n")).toEqual([
    "recognised  accuracy  chance  best constant answer",
    "blur          33.3 %  25.0 %                66.7 %",
    "",
    "taken for (a row for the level that it is, a column for the level that was answered):",
    "blur         0.0   1.0   2.0    right",
    "       0.0     0     1     0    0.0 %",
    "       1.0     1     1     0   50.0 %",
    "       2.0     0     0     0        -",
    "",
    "3 images",
    "",
  ]);
  expect(stderr()).toBe("warning: blur: its accuracy of 33.3 % is below the 66.7 % of always answering 1.0\n");
  const better = recordedOutput();
  printEvaluation({ ...EVALUATION, accuracy: { blur: 2 / 3 } }, better.output, { confusion: false });
  expect([better.stdout().split("\n").length, better.stderr()]).toEqual([4, ""]);
});

test("an evaluation is written as a table of answers and a CSV for each degradation, and nothing is replaced unasked", async () => {
  const folder = join(temporaryFolder(), "judged");
  const files = await evaluationFiles(folder, ["blur"], false);
  await writeEvaluation(EVALUATION, files);
  const { columns, rows } = parseTable(readFileSync(files.answers, "utf8"), "answers");
  expect(columns).toEqual(["filepath", "kind", "level", "answer", "probability", "right"]);
  expect(rows[0]).toEqual({
    filepath: "a b.png",
    kind: "blur",
    level: "0.3",
    answer: "1.0",
    probability: "0.75",
    right: "false",
  });
  expect(readFileSync(join(folder, "confusion_blur.csv"), "utf8")).toBe(
    "level,0.0,1.0,2.0,right\n0.0,0,1,0,0\n1.0,1,1,0,0.5\n2.0,0,0,0,\n",
  );
  await expect(evaluationFiles(folder, ["blur"], false)).rejects.toThrow("answers.tsv exists: choose another name");
  expect(await evaluationFiles(folder, ["blur"], true)).toEqual(files);
});
