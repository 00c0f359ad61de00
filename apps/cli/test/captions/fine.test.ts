import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DegradationLevels, degradationCaption, fineLabels, sigmaGrid } from "@deplsr/degradation";
import { Rng } from "@deplsr/tensor";
import { afterEach, describe, expect, test } from "vitest";
import { runFine } from "../../src/captions/fine.ts";
import { CAPTIONED_COLUMNS } from "../../src/data/captioned.ts";
import { formatTable, parseTable } from "../../src/data/tsv.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const EXPANDED = CAPTIONED_COLUMNS.slice(3);

afterEach(() => {
  process.exitCode = 0;
});

/** Every blur of the training's grid with each kind of noise, with and without ringing, at levels that are drawn as its are. */
function allLevels(): DegradationLevels[] {
  const rng = new Rng(7);
  return sigmaGrid([0, 3, 0.1]).flatMap((blurSigma) =>
    [
      null,
      { type: "gaussian", sigma: 30 * rng.uniform() } as const,
      { type: "poisson", scale: 3 * rng.uniform() } as const,
    ].flatMap((noise) =>
      [false, true].map((ringing) => ({ blurSigma, noise, quality: 30 + 65 * rng.uniform(), ringing })),
    ),
  );
}

describe("captions fine", () => {
  test("writes what degrade writes, for all levels", async () => {
    const folder = temporaryFolder();
    const all = allLevels();
    // The rows of degrade, `synthesize.ts`: caption, whole degradation, the five of it.
    const rows = all.map((levels, i) => {
      const cells = [`LQ/${i}.png`, `photo "${i}"\ttab`, degradationCaption(levels), ...fineLabels(levels)];
      return Object.fromEntries(CAPTIONED_COLUMNS.map((column, k) => [column, cells[k]!]));
    });
    const [whole, short] = [join(folder, "whole.tsv"), join(folder, "short.csv")];
    writeFileSync(short, formatTable(CAPTIONED_COLUMNS.slice(0, 3), rows));
    const { output, stdout } = recordedOutput();
    await runFine({ in: short, out: whole, overwrite: false }, { output });
    expect(readFileSync(whole, "utf8")).toBe(formatTable(CAPTIONED_COLUMNS, rows));
    expect(stdout()).toBe(`180 images in ${whole}\n`);
    await expect(runFine({ in: short, out: whole, overwrite: false }, { output })).rejects.toThrow("whole.tsv exists");
  });

  test("gives the texts of the data set's description", async () => {
    const folder = temporaryFolder();
    const [from, out] = [join(folder, "a.tsv"), join(folder, "sub", "b.tsv")];
    writeFileSync(
      from,
      [
        "filepath\ttitle\ttitle2\tnote",
        "a.png\ta cat\tblur with sigma:1.2,gaussian noise with sigma:12.3,jpeg with quality factor:55.0,ringing and overshoot artifacts\tx",
        "/b.png\t\tjpeg with quality factor:30, poisson noise with scale:0.5, blur with sigma:0\t",
      ].join("\n"),
    );
    await runFine({ in: from, out, overwrite: false }, recordedOutput());
    const { columns, rows } = parseTable(readFileSync(out, "utf8"), out);
    expect(columns).toEqual([...CAPTIONED_COLUMNS, "note"]);
    expect(rows.map((row) => [row.filepath, ...EXPANDED.map((column) => row[column])])).toEqual([
      [
        join("..", "a.png"),
        "blur with sigma:1.2",
        "gaussian noise with sigma:12.3",
        "poisson noise with scale:0.0",
        "jpeg with quality factor:55.0",
        "ringing and overshoot artifacts",
      ],
      [
        "/b.png",
        "blur with sigma:0.0",
        "gaussian noise with sigma:0",
        "poisson noise with scale:0.5",
        "jpeg with quality factor:30.0",
        "no ringing and overshoot artifacts",
      ],
    ]);
  });

  test("a row that says no degradation is left out by its line, with what was expected", async () => {
    const folder = temporaryFolder();
    const [from, out] = [join(folder, "a.tsv"), join(folder, "b.tsv")];
    const good = "blur with sigma:1.2,jpeg with quality factor:55.0";
    writeFileSync(
      from,
      `filepath\ttitle\ttitle2\na.png\t"two\nlines"\t${good}\nb.png\tx\tfog\nc.png\tx\tblur with sigma:1.0\nd.png\n`,
    );
    const { output, stdout, stderr } = recordedOutput(true);
    await runFine({ in: from, out, overwrite: false }, { output });
    const { images, skipped } = JSON.parse(stdout());
    expect([images, skipped]).toEqual([
      1,
      [
        { name: `${from} line 6`, reason: "1 cell where the header has 3" },
        {
          name: `${from} line 4`,
          reason: 'title2: caption: "fog" is not a degradation, as "blur with sigma:1.2" is',
        },
        {
          name: `${from} line 5`,
          reason: 'title2: caption: "blur with sigma:1.0" has no "jpeg with quality factor:..."',
        },
      ],
    ]);
    expect(stderr()).toContain("warning: left out 3 of 4 rows:\n");
    expect(process.exitCode).toBe(1);
  });

  test("what is no such table is refused in one line", async () => {
    const folder = temporaryFolder();
    const [from, out] = [join(folder, "a.tsv"), join(folder, "b.tsv")];
    const refused = async (text: string, message: string): Promise<void> => {
      writeFileSync(from, text);
      await expect(runFine({ in: from, out, overwrite: false }, recordedOutput())).rejects.toThrow(message);
    };
    await refused("filepath\ttitle\n", 'has no column "title2" (it has "filepath", "title"');
    await refused("filepath\ttitle\ttitle2\n", "a.tsv has no row that can be used: it has no rows");
    await refused(
      "filepath\ttitle\ttitle2\na.png\tx\tfog\n",
      `captions fine: ${from} has no row that can be used: ${from} line 2: title2: caption: "fog" is not a degradation`,
    );
    await expect(runFine({ in: from, out: "b.txt", overwrite: false }, recordedOutput())).rejects.toThrow(
      "b.txt must end in .tsv or .csv",
    );
  });
});
