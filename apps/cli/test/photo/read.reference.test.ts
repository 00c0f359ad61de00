import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readImage } from "../../src/data/image.ts";
import { describeLeftOut, findPhotos } from "../../src/photo/find.ts";
import { readPhoto } from "../../src/photo/read.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** Files on which earlier versions went wrong, in a folder beside the repository. */
const PHOTOS = fileURLToPath(new URL("../../../../../shared/field/photos/", import.meta.url));

describe("photos from the field", () => {
  test.each(["icc_srgb16.png", "icc_srgb16.tif"])("%s has the colours of the 8-bit picture", async (name) => {
    const image = await readImage(join(PHOTOS, name));
    const patches = [8, 24, 40, 56].map((y) => [
      ...image.data.subarray((y * image.width + 4) * 3, (y * image.width + 4) * 3 + 3),
    ]);
    const right = [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
      [200, 100, 50],
    ];
    for (const [i, patch] of patches.entries())
      for (const [c, value] of patch.entries()) expect(Math.abs(value - right[i]![c]!)).toBeLessThanOrEqual(1);
  });

  test.each([
    ["gray_f32_01.tif", 45.7],
    ["rgb_f32_01.tif", 45.9],
    ["rgb_f32_255.tif", 45.9],
  ] as const)("%s has a mean of %d", async (name, mean) => {
    const { data } = await readImage(join(PHOTOS, name));
    expect(data.reduce((sum, value) => sum + value, 0) / data.length).toBeCloseTo(mean, 1);
  });

  test("HEIC and camera raw are refused as what they are, whatever they are called", async () => {
    const folder = temporaryFolder();
    copyFileSync(join(PHOTOS, "photo_hevc.heic"), join(folder, "a.jpg"));
    copyFileSync(join(PHOTOS, "raw.dng"), join(folder, "b.tif"));
    await expect(readPhoto(join(folder, "a.jpg"))).rejects.toThrow(
      "a.jpg is HEIC (HEVC), which cannot be read here: export it as JPEG or PNG",
    );
    await expect(readPhoto(join(folder, "b.tif"))).rejects.toThrow(
      "b.tif is camera raw (DNG), which cannot be read here: develop it first",
    );
  });

  test("a JPEG without an end mark is read with a note", async () => {
    const photo = await readPhoto(join(PHOTOS, "jpeg_without_eoi.jpg"));
    expect([photo.width, photo.height, photo.notes.length]).toEqual([64, 48, 1]);
    expect(photo.notes[0]).toContain("has no end mark (EOI)");
  });

  test("a folder tells what it leaves out", async () => {
    const { photos, leftOut } = await findPhotos([join(PHOTOS, "folder_with_jfif_bmp_heic")]);
    expect(photos.map(({ name }) => name)).toEqual(["base.png", "download.jfif"]);
    expect(describeLeftOut(leftOut)).toBe(
      "left out 2 files that are no photos: IMG_0001.HEIC (HEIC, HEVC), scan.bmp (BMP)",
    );
  });
});
