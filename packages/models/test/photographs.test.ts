import { readdirSync, readFileSync, statSync } from "node:fs";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { MODELS, PHOTOGRAPH_SIDE, PHOTOGRAPHS } from "../src/index.ts";

const folder = new URL("../photographs/", import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const notice = text("../NOTICE");
const table = text("../../../data/photographs.tsv")
  .trimEnd()
  .split("\n")
  .map((line) => line.split("\t"));

describe("the photographs", () => {
  test("each is a colour JPEG of the stated size, and no other file lies there", async () => {
    for (const { file } of PHOTOGRAPHS) {
      const { format, width, height, channels, chromaSubsampling } = await sharp(readFileSync(file)).metadata();
      expect({ format, width, height, channels, chromaSubsampling }).toEqual({
        format: "jpeg",
        width: PHOTOGRAPH_SIDE,
        height: PHOTOGRAPH_SIDE,
        channels: 3,
        chromaSubsampling: "4:4:4",
      });
      const means = (await sharp(readFileSync(file)).stats()).channels.map(({ mean }) => mean);
      expect(new Set(means.map(Math.round)).size).toBeGreaterThan(1);
    }
    expect(readdirSync(folder).sort()).toEqual(PHOTOGRAPHS.map(({ name }) => `${name}.jpg`).sort());
  });

  test("all together are below a megabyte", () => {
    expect(PHOTOGRAPHS.reduce((sum, { file }) => sum + statSync(file).size, 0)).toBeLessThan(1e6);
  });

  test("NOTICE names the author, the source and the licence of each, as data/photographs.tsv has them", () => {
    for (const { name, title, heldOut } of PHOTOGRAPHS) {
      const line = notice.split("\n").find((one) => one.startsWith(`photographs/${name}.jpg `)) ?? "";
      const [, author, source] = /^\S+ +(.+), (\S+)-1500\.jpg, CC0-1\.0$/.exec(line) ?? [];
      const row = table.find(([known]) => known === source);
      expect(row).toBeDefined();
      const [, split, from, path, , by, , caption] = row!;
      expect([author, title, heldOut]).toEqual([by, caption, split === "val"]);
      expect([from, path]).toEqual(["npm:tabler-ui@0.0.34", `src/demo/photos/${source}-1500.jpg`]);
    }
    expect(notice.match(/^photographs\//gm)).toHaveLength(PHOTOGRAPHS.length);
    expect(PHOTOGRAPHS.filter(({ heldOut }) => heldOut)).toHaveLength(2);
  });

  test("names are unique, those of the models too", () => {
    for (const named of [PHOTOGRAPHS, MODELS]) {
      expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
    }
  });
});
