import { join } from "node:path";
import { expect, test } from "vitest";
import { writeImage } from "../../src/data/image.ts";
import { listPairs, referenceOf } from "../../src/iqa/pairs.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";

test.each([
  ["baby", "baby"],
  ["baby_x3", "baby"],
  ["baby_x4", "baby_x4"],
  ["babyx4", "baby"],
  ["baby_RealDAT_x4_exp1", "baby"],
  ["baby_x4_2", "baby_x4"],
  ["img_001_SRF_4_SR", "img_001_SRF_4_HR"],
  ["0801x2", "0801_HR"],
  ["babysitter", undefined],
  ["bab", undefined],
  ["img_0012", undefined],
])("%s belongs to %s", (name, reference) => {
  const references = ["baby", "baby_x4", "img_001_SRF_4_HR", "0801_HR"].map((known) => `hr/${known}.png`);
  expect(referenceOf(name, references)).toBe(reference === undefined ? undefined : `hr/${reference}.png`);
});

test("files that differ in their ending only keep it in their names, and belong to the reference of that ending", async () => {
  const folder = temporaryFolder();
  for (const path of ["sr/a.jpg", "sr/a.png", "sr/b.png", "hr/a.jpg", "hr/a.png", "hr/b.jpg"]) {
    await writeImage(join(folder, path), picture(8, 8));
  }
  const { pairs } = await listPairs(join(folder, "sr"), join(folder, "hr"));
  expect(pairs.map(({ name, reference }) => [name, reference])).toEqual([
    ["a.jpg", join(folder, "hr/a.jpg")],
    ["a.png", join(folder, "hr/a.png")],
    ["b", join(folder, "hr/b.jpg")],
  ]);
});

test("a file may be called differently than its reference; in folders names count", async () => {
  const folder = temporaryFolder();
  const [sr, hr] = [join(folder, "sr"), join(folder, "hr")];
  for (const path of [join(sr, "a_x4.png"), join(sr, "b.png"), join(hr, "a.png"), join(hr, "c.png")]) {
    await writeImage(path, picture(8, 8));
  }
  const two = await listPairs(join(sr, "b.png"), join(hr, "c.png"));
  expect(two.pairs).toEqual([{ name: "b", image: join(sr, "b.png"), reference: join(hr, "c.png") }]);
  const folders = await listPairs(sr, hr);
  expect(folders.pairs.map(({ reference }) => reference)).toEqual([join(hr, "a.png"), undefined]);
  expect(folders.references).toEqual([join(hr, "a.png"), join(hr, "c.png")]);
  expect((await listPairs(sr, undefined)).pairs.map(({ name, reference }) => [name, reference])).toEqual([
    ["a_x4", undefined],
    ["b", undefined],
  ]);
});
