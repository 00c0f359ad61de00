import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { tiff } from "../photo/files.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { photoIn, upscale, writeNetwork } from "./run-upscale.ts";

describe("what would go wrong is refused before the work", () => {
  test("an output folder that is a file", async () => {
    const folder = temporaryFolder();
    const images = [await photoIn(folder, "a.png")];
    writeFileSync(join(folder, "file"), "");
    await expect(upscale({ images, out: join(folder, "file") })).rejects.toThrow(
      `${join(folder, "file")}/result is a file, not a folder: choose another path`,
    );
  });

  test("a result that its format has no room for, by its sides and by its bytes", async () => {
    const folder = temporaryFolder();
    const long = join(folder, "long.png");
    await sharp({ create: { width: 9000, height: 1, channels: 3, background: "red" } }).toFile(long);
    await expect(upscale({ images: [long], out: join(folder, "a.webp") })).rejects.toThrow(
      `image: ${folder}/a.webp would be 18000x2, where its format ends at 16383 pixels a side: write a .png or .tif`,
    );
    const large = join(folder, "large.tif");
    writeFileSync(large, tiff({ width: 300, height: 300, channels: 3, values: new Uint8Array(300 * 300 * 3) }));
    await expect(upscale({ images: [large], out: join(folder, "a.jpg"), scale: 64 })).rejects.toThrow(
      `image: ${folder}/a.jpg would be 19200x19200, 1105920000 bytes that its format takes at once, over the 1073741824 that it may`,
    );
    expect(readdirSync(folder).sort()).toEqual(["large.tif", "long.png"]);
  });

  test("a quality for what loses nothing", async () => {
    const folder = temporaryFolder();
    const images = [await photoIn(folder, "a.png")];
    for (const flags of [{ out: folder }, { out: join(folder, "b.TIF") }, { out: "-", format: "png" as const }])
      await expect(upscale({ images, quality: 90, ...flags })).rejects.toThrow(
        "--quality means nothing to PNG and TIFF",
      );
    const sizes = [];
    for (const quality of [30, 95]) {
      await upscale({ images, out: folder, format: "jpeg", quality, suffix: `_${quality}` });
      sizes.push(readFileSync(join(folder, `a_${quality}.jpg`)).length);
    }
    expect(sizes[0]).toBeLessThan(sizes[1]! - 200);
  });

  test("several photos for one file", async () => {
    const folder = temporaryFolder();
    const images = [await photoIn(folder, "a.png"), await photoIn(folder, "b.png")];
    await expect(upscale({ images, out: join(folder, "c.png") })).rejects.toThrow(
      `--out ${folder}/c.png is one file for 2 photographs: give a folder`,
    );
  });

  test("a network whose values are no numbers", async () => {
    const folder = temporaryFolder();
    const images = [await photoIn(folder, "a.png")];
    const bytes = readFileSync(await writeNetwork());
    const model = join(folder, "nan.safetensors");
    bytes.fill(0xff, bytes.length - 8);
    writeFileSync(model, bytes);
    await expect(upscale({ images, out: folder, model })).rejects.toThrow(
      /nan\.safetensors: .*\bno(t| ) ?(finite|number)/,
    );
  });
});
