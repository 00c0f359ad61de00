import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Decoder } from "../../src/data/decoder.ts";
import { writeImage } from "../../src/data/image.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";

async function pictures(): Promise<string[]> {
  const folder = temporaryFolder();
  const paths = ["a", "b", "c"].map((name) => join(folder, `${name}.png`));
  for (const [seed, path] of paths.entries()) await writeImage(path, picture(20, 10, seed));
  return paths;
}

describe("Decoder", () => {
  test("keeps what fits, and reads the rest anew", async () => {
    const [a, b, c] = (await pictures()) as [string, string, string];
    const decoder = new Decoder({ cacheBytes: 2 * 20 * 10 * 3, workers: 1 });
    const first = await Promise.all([a, b, c].map(decoder.read));
    expect(first).toEqual([picture(20, 10, 0), picture(20, 10, 1), picture(20, 10, 2)]);
    for (const path of [a, b, c]) rmSync(path);
    expect(await decoder.read(a)).toBe(first[0]);
    expect(await decoder.read(b)).toBe(first[1]);
    await expect(decoder.read(c)).rejects.toThrow("c.png does not exist");
  });

  test("reads at most so many at a time, and one file once", async () => {
    const [a, b] = (await pictures()) as [string, string];
    const decoder = new Decoder({ workers: 1 });
    const twice = [decoder.read(a), decoder.read(a)];
    const ends: string[] = [];
    await Promise.all([
      ...twice.map((reading) => reading.then(() => ends.push("a"))),
      decoder.read(b).then(() => ends.push("b")),
    ]);
    expect(ends).toEqual(["a", "a", "b"]);
    expect(await twice[0]).toBe(await twice[1]);
  });

  test("a file that could not be read is tried again", async () => {
    const [a] = (await pictures()) as [string];
    const decoder = new Decoder({ workers: 1 });
    writeFileSync(`${a}.png`, "no picture");
    await expect(decoder.read(`${a}.png`)).rejects.toThrow("is not an image");
    await writeImage(`${a}.png`, picture(3, 2));
    expect(await decoder.read(`${a}.png`)).toEqual(picture(3, 2));
  });
});
