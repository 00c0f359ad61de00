import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { describeLeftOut, findPhotos } from "../../src/photo/find.ts";
import { temporaryFolder } from "../temporary-folder.ts";

afterEach(() => void vi.unstubAllEnvs());

function folderWith(...names: string[]): string {
  const folder = temporaryFolder();
  for (const name of names) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), "words");
  }
  return folder;
}

test("a folder becomes its photos, and what else it holds is named once", async () => {
  const folder = folderWith("b.JFIF", "a.jpe", "c.JIF", "D.TIFF", "notes.txt", ".hidden.png", "sub/e.png", "scan.bmp");
  writeFileSync(join(folder, "scan.bmp"), Buffer.concat([Buffer.from("BM"), Buffer.alloc(60)]));
  const { photos, leftOut } = await findPhotos([folder]);
  expect(photos.map(({ name }) => name)).toEqual(["D.TIFF", "a.jpe", "b.JFIF", "c.JIF"]);
  expect(photos[0]).toEqual({ path: join(folder, "D.TIFF"), name: "D.TIFF", listed: true });
  expect(leftOut.map(({ path, kind }) => [relative(folder, path), kind])).toEqual([
    ["sub", "folder"],
    ["notes.txt", null],
    ["scan.bmp", "BMP"],
  ]);
  expect(describeLeftOut(leftOut)).toBe(
    "left out 2 files that are no photos: notes.txt, scan.bmp (BMP); 1 sub-folder (--recursive takes them in)",
  );
  expect(describeLeftOut([])).toBeNull();
  const many = Array.from({ length: 11 }, (_, i) => ({ path: `f/${i}.txt`, kind: null }));
  expect(describeLeftOut(many)).toMatch(/^left out 11 files that are no photos: 0.txt, .*7.txt and 3 more$/);
});

test("sub-folders with `recursive`, each real folder once, circles end", async () => {
  const folder = folderWith("a.png", "z/b.png", "z/deep/c.png");
  const outside = folderWith("o.png");
  symlinkSync(join(folder, "z"), join(folder, "again"));
  symlinkSync(folder, join(folder, "z", "circle"));
  symlinkSync(outside, join(folder, "elsewhere"));
  symlinkSync(join(outside, "o.png"), join(folder, "link.png"));
  symlinkSync(join(folder, "nothing"), join(folder, "broken.png"));
  const { photos } = await findPhotos([folder], { recursive: true });
  expect(photos.map(({ name }) => name)).toEqual(["a.png", "elsewhere/o.png", "link.png", "z/b.png", "z/deep/c.png"]);
  const flat = await findPhotos([folder]);
  expect(flat.photos.map(({ name }) => name)).toEqual(["a.png", "link.png"]);
  expect(flat.leftOut.map(({ path }) => relative(folder, path))).toEqual(["again", "elsewhere", "z"]);
});

test("patterns that no shell has expanded", async () => {
  const folder = folderWith("a1.png", "a2.jpg", "b.png", "sub/a3.png", "a4.txt", "[x].png");
  const names = async (pattern: string): Promise<string[]> =>
    (await findPhotos([join(folder, pattern)])).photos.map(({ path }) => relative(folder, path));
  expect(await names("a*")).toEqual(["a1.png", "a2.jpg"]);
  expect(await names("**/a?.png")).toEqual(["a1.png", "sub/a3.png"]);
  expect(await names("{b,a1}.png")).toEqual(["a1.png", "b.png"]);
  // A file that is there is never a pattern.
  expect(await names("[x].png")).toEqual(["[x].png"]);
  expect((await findPhotos([join(folder, "a*")])).leftOut).toEqual([{ path: join(folder, "a4.txt"), kind: null }]);
  await expect(findPhotos([join(folder, "q*.png")])).rejects.toThrow(
    `input: no file matches ${folder}/q*.png: check the pattern`,
  );
});

test("files stay whatever their name, twice is once, `-` is stdin, `~` is home", async () => {
  const folder = folderWith("photo", "--odd.png");
  const file = join(folder, "photo");
  expect((await findPhotos([file, file, "-"])).photos).toEqual([
    { path: file, name: "photo", listed: false },
    { path: "-", name: "stdin", listed: false },
  ]);
  expect((await findPhotos([join(folder, "--odd.png")])).photos[0]!.name).toBe("--odd.png");
  vi.stubEnv("HOME", folder);
  vi.stubEnv("USERPROFILE", folder);
  await expect(findPhotos(["~/no-such-photo.png"])).rejects.toThrow(
    "input: ~/no-such-photo.png does not exist: check the path",
  );
  expect((await findPhotos(["~/photo", "~"])).photos.map(({ path }) => path)).toEqual([
    file,
    join(folder, "--odd.png"),
  ]);
});

test("a folder without photos says what it holds", async () => {
  const folder = folderWith("a.txt");
  await expect(findPhotos([folder])).rejects.toThrow(
    `folder: ${folder} holds no images (.jpg, .jpeg, .jpe, .jif, .jfif, .png, .webp, .tif, .tiff, .avif, .gif), left out 1 file that is no photo: a.txt: check the path`,
  );
});

test("5,000 entries take seconds, not minutes", { timeout: 60_000 }, async () => {
  const folder = temporaryFolder();
  for (let i = 0; i < 5000; i++) writeFileSync(join(folder, `${i}${i % 5 === 0 ? ".txt" : ".png"}`), "");
  const started = performance.now();
  const { photos, leftOut } = await findPhotos([folder]);
  expect([photos.length, leftOut.length]).toEqual([4000, 1000]);
  expect(performance.now() - started).toBeLessThan(5000);
});
