import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readImage, writeImage } from "../../src/data/image.ts";
import { type ExtractFlags, runExtract } from "../../src/extract/run.ts";
import { Output } from "../../src/output.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { deplsr } from "./run-command.ts";

/** Runs the command in this process. → what it prints */
async function extract(flags: Pick<ExtractFlags, "images" | "out"> & Partial<ExtractFlags>): Promise<string[]> {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const all = { size: 10, step: 8, threshold: 0, template: "{}", jobs: 2, overwrite: false, ...flags };
  await runExtract(all, { output: new Output("text", { stdout: stream, stderr: stream }) });
  return lines.filter((line) => !line.startsWith("extract ["));
}

test("deplsr extract cuts pairs into squares of the same names", async () => {
  const folder = temporaryFolder();
  await writeImage(join(folder, "HR", "a.png"), picture(50, 40));
  const small = join(folder, "X2");
  await writeImage(join(small, "ax2.png"), picture(25, 20));
  await writeImage(join(small, "dot.png"), picture(9, 9));
  const args = ["extract", "HR", "--out", "sub/HR", "--size", "20", "--step", "16", "--json"];
  const { code, stdout } = await deplsr(args, folder);
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { images: 1, squares: 9, skipped: [] }]);
  const out = join(folder, "sub", "X2");
  const lines = await extract({ images: [small], out, template: "{}x2" });
  expect(lines).toEqual([
    "warning: left out 1 of 2 images:",
    `warning: extract: ${small}/dot.png is 9x9, smaller than the square of 10 pixels`,
    `9 squares of 10 pixels in ${out}`,
  ]);
  const names = (part: string): string[] => readdirSync(join(folder, "sub", part)).sort();
  expect(names("X2")).toEqual(names("HR"));
  expect(names("HR")[8]).toBe("a_s009.png");
  // Left edges 0, 16, 30 and top edges 0, 16, 20.
  const corner = (await readImage(join(folder, "sub", "HR", "a_s006.png"))).data.subarray(0, 3);
  expect(corner).toEqual(picture(50, 40).data.subarray((16 * 50 + 30) * 3, (16 * 50 + 30) * 3 + 3));
  const again = { images: [small], out, template: "{}x2" };
  await expect(extract(again)).rejects.toThrow(
    `extract: ${out}/a_s001.png exists: choose another name, or --overwrite to replace it`,
  );
  expect(await extract({ ...again, overwrite: true })).toEqual(lines);
  rmSync(join(small, "ax2.png"));
  await expect(extract({ images: [small], out })).rejects.toThrow(
    `extract: no squares could be cut: extract: ${small}/dot.png is 9x9`,
  );
});

test("names that would be the same and flags that cannot be are refused", async () => {
  const folder = temporaryFolder();
  for (const name of ["a.png", "ax2.png"]) await writeImage(join(folder, name), picture(12, 12));
  const flags = { images: [folder], out: join(folder, "out") };
  await expect(extract({ ...flags, template: "{}x2" })).rejects.toThrow(
    `output: ${folder}/a.png and ${folder}/ax2.png would both be written to ${folder}/out/a_s001.png: rename one`,
  );
  await expect(extract({ ...flags, step: 0 })).rejects.toThrow("--step 0 must be a whole number of at least 1");
  await expect(extract({ ...flags, size: 16385 })).rejects.toThrow(
    "--size 16385 must be a whole number from 1 to 16384",
  );
  await expect(extract({ ...flags, jobs: 2 ** 40 })).rejects.toThrow(
    "--jobs 1099511627776 must be a whole number from",
  );
  await expect(extract({ ...flags, template: "x2" })).rejects.toThrow("--template x2: write {} once, for the name");
});
