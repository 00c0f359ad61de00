import { copyFileSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Provenance } from "@deplsr/photo";
import { beforeEach, describe, expect, test } from "vitest";
import { writePhoto } from "../../src/photo/write.ts";
import { madeOf, standingAt, writeSidecar } from "../../src/upscale/done.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const ASKED: Provenance = { model: "0af3", options: { scale: 2, tile: "auto", quality: null, ensemble: false } };

test("what makes a result is the network, the options and the photo's bytes, whatever its name and age", async () => {
  const folder = temporaryFolder();
  const [photo, copy] = [join(folder, "a.jpg"), join(folder, "b.png")];
  writeFileSync(photo, "abc");
  copyFileSync(photo, copy);
  utimesSync(copy, 1000, 1000);
  const made = await madeOf(photo, ASKED);
  // The hash of "abc" in FIPS 180-2, appendix B.1.
  const hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  expect(made).toEqual({ model: "0af3", options: { ...ASKED.options, photo: hash } });
  expect(await madeOf(copy, ASKED)).toEqual(made);
  expect((await madeOf("-", ASKED)).options.photo).toBeNull();
  await expect(madeOf(folder, ASKED)).rejects.toThrow(`image: ${folder} is a folder: give an image file`);
});

describe("standingAt", () => {
  let [photo, out] = ["", ""];
  let made: Provenance;
  beforeEach(async () => {
    const folder = temporaryFolder();
    [photo, out] = [join(folder, "a.jpg"), join(folder, "a_x2.png")];
    writeFileSync(photo, "a photo");
    made = await madeOf(photo, ASKED);
  });

  async function make(path: string, options: Parameters<typeof writePhoto>[2]): Promise<void> {
    await writePhoto(path, { ...picture(8, 6), depth: 8, alpha: null, profile: null }, options);
  }

  test("free where nothing is", async () => {
    expect(await standingAt(out, made)).toBe("free");
  });

  test.each(["png", "jpg", "webp", "avif", "tif"])("done for a .%s that was made the same way", async (ending) => {
    const path = out.replace(/png$/, ending);
    await make(path, { provenance: made });
    expect(await standingAt(path, made)).toBe("done");
  });

  test("other after other options, another network, of another photo, of stdin", async () => {
    await make(out, { provenance: made });
    expect(await standingAt(out, { ...made, options: { ...made.options, scale: 3 } })).toBe("other");
    expect(await standingAt(out, { ...made, model: "0af4" })).toBe("other");
    writeFileSync(photo, "a photo, changed");
    expect(await standingAt(out, await madeOf(photo, ASKED))).toBe("other");
    const ofStdin = await madeOf("-", ASKED);
    await make(out, { provenance: ofStdin });
    expect(await standingAt(out, ofStdin)).toBe("other");
  });

  test("other where something else stands: a picture, a text, a folder", async () => {
    await make(out, {});
    expect(await standingAt(out, made)).toBe("other");
    writeFileSync(out, "no picture");
    expect(await standingAt(out, made)).toBe("other");
    const folder = join(temporaryFolder(), "a_x2.png");
    mkdirSync(folder);
    expect(await standingAt(folder, made)).toBe("other");
  });

  test("a picture without metadata is told by the file beside it", async () => {
    await make(out, { strip: true, provenance: made });
    expect(await standingAt(out, made)).toBe("other");
    await writeSidecar(out, made);
    expect(readdirSync(join(out, "..")).sort()).toEqual(["a.jpg", "a_x2.png", "a_x2.png.deplsr.json"]);
    expect(await standingAt(out, made)).toBe("done");
    expect(await standingAt(out, { ...made, model: "0af4" })).toBe("other");
    // What stands in the picture itself counts more than what is left beside it.
    await make(out, { provenance: { ...made, model: "1" } });
    expect(await standingAt(out, made)).toBe("other");
    writeFileSync(`${out}.deplsr.json`, "{ damaged");
    await make(out, { strip: true });
    expect(await standingAt(out, made)).toBe("other");
  });
});
