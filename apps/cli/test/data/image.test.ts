import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp, { type Sharp } from "sharp";
import { describe, expect, test } from "vitest";
import { listImages, stem } from "../../src/data/folder.ts";
import { decodeImage, encodeImage, type Image, readImage, writeImage } from "../../src/data/image.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const FORMATS = fileURLToPath(new URL("../../../../../shared/data/formats/", import.meta.url));

/** 24 x 20 pixels of uneven colour, so that files are large enough to be cut in two. */
const PICTURE: Image = {
  width: 24,
  height: 20,
  data: Uint8Array.from({ length: 24 * 20 * 3 }, (_, i) => (i * 7919 + (i * i) / 5) % 256),
};

const raw = (image: Image): Sharp =>
  sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } });

const plain = (red: number, green: number, blue: number): Sharp =>
  sharp({ create: { width: 8, height: 8, channels: 3, background: { r: red, g: green, b: blue } } });

describe("readImage", () => {
  test("PNG is exact, JPEG close", async () => {
    const folder = temporaryFolder();
    await writeImage(join(folder, "a.png"), PICTURE);
    expect(await readImage(join(folder, "a.png"))).toEqual(PICTURE);
    const jpeg = await decodeImage(
      await encodeImage({ width: 1, height: 1, data: Uint8Array.of(90, 90, 90) }, "a.jpg"),
      "a.jpg",
    );
    expect([jpeg.width, jpeg.height, ...jpeg.data]).toEqual([1, 1, 90, 90, 90]);
  });

  test("1x1 is legal", async () => {
    const one: Image = { width: 1, height: 1, data: Uint8Array.of(1, 2, 3) };
    expect(await decodeImage(await encodeImage(one, "a.png"), "a.png")).toEqual(one);
  });

  test("grey becomes three equal channels", async () => {
    const grey = await sharp(Uint8Array.of(0, 100, 255), { raw: { width: 3, height: 1, channels: 1 } })
      .toColourspace("b-w")
      .png()
      .toBuffer();
    expect((await sharp(grey).metadata()).channels).toBe(1);
    expect([...(await decodeImage(grey, "a.png")).data]).toEqual([0, 0, 0, 100, 100, 100, 255, 255, 255]);
    const greyAlpha = await sharp(Uint8Array.of(100, 0, 100, 255), { raw: { width: 2, height: 1, channels: 2 } })
      .png()
      .toBuffer();
    expect([...(await decodeImage(greyAlpha, "a.png")).data]).toEqual([255, 255, 255, 100, 100, 100]);
  });

  test("transparency is composited over white", async () => {
    const pixels = Uint8Array.of(100, 0, 0, 0, 100, 50, 20, 255, 0, 0, 0, 128);
    const png = await sharp(pixels, { raw: { width: 3, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    expect([...(await decodeImage(png, "a.png")).data]).toEqual([255, 255, 255, 100, 50, 20, 127, 127, 127]);
  });

  test("16 bits become the nearest of 8", async () => {
    const values = new Uint16Array([0, 257 * 128 + 128, 257 * 200 - 128, 65535, 129, 257 * 7 - 129]);
    const colour = await sharp(values, { raw: { width: 2, height: 1, channels: 3 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    expect((await sharp(colour).metadata()).depth).toBe("ushort");
    expect([...(await decodeImage(colour, "a.png")).data]).toEqual([0, 128, 200, 255, 1, 6]);
    const grey = await sharp(values.slice(0, 2), { raw: { width: 2, height: 1, channels: 1 } })
      .toColourspace("grey16")
      .png()
      .toBuffer();
    expect([...(await decodeImage(grey, "a.png")).data]).toEqual([0, 0, 0, 128, 128, 128]);
    const halfClear = await sharp(new Uint16Array([0, 257 * 100, 65535, 32896, 9, 9, 9, 0]), {
      raw: { width: 2, height: 1, channels: 4 },
    })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    expect([...(await decodeImage(halfClear, "a.png")).data]).toEqual([127, 177, 255, 255, 255, 255]);
  });

  test("CMYK with and without a profile becomes the RGB it shows", async () => {
    for (const picture of [plain(200, 30, 40), plain(200, 30, 40).withIccProfile("cmyk")]) {
      const bytes = await picture.toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer();
      expect((await sharp(bytes).metadata()).space).toBe("cmyk");
      const [red, green, blue] = (await decodeImage(bytes, "c.jpg")).data;
      expect(Math.abs(red! - 200)).toBeLessThan(8);
      expect(Math.abs(green! - 30)).toBeLessThan(30);
      expect(Math.abs(blue! - 40)).toBeLessThan(30);
    }
  });

  test("an embedded profile is converted to sRGB", async () => {
    const bytes = await plain(200, 30, 40).withIccProfile("p3").png().toBuffer();
    const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
    expect(Math.abs(stored[0]! - 200)).toBeGreaterThan(8);
    const [red, green, blue] = (await decodeImage(bytes, "p.png")).data;
    expect([red, green, blue].map((value, i) => Math.abs(value! - [200, 30, 40][i]!) <= 1)).toEqual([true, true, true]);
  });

  test("the EXIF orientation is applied", async () => {
    const pixels = Uint8Array.of(255, 0, 0, 0, 0, 255);
    const png = await sharp(pixels, { raw: { width: 2, height: 1, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const image = await decodeImage(png, "a.png");
    expect([image.width, image.height, ...image.data]).toEqual([1, 2, 255, 0, 0, 0, 0, 255]);
  });

  test("files from the world (a folder beside the repository, where it is there) are read", async () => {
    const found = existsSync(FORMATS) ? await listImages(FORMATS) : [];
    for (const path of found) {
      const image = await readImage(path);
      expect(image.data.length).toBe(image.width * image.height * 3);
      const grey = image.data.every((value, i) => value === image.data[i - (i % 3)]);
      expect(grey).toBe(path.includes("gray"));
      expect(image.data[0] === 255).toBe(path.includes("alpha"));
    }
  });

  test("a truncated file gives one line that says so", async () => {
    const files = {
      "a.jpg": await raw(PICTURE).jpeg().toBuffer(),
      "a.png": await raw(PICTURE).png().toBuffer(),
      "a.webp": await raw(PICTURE).webp().toBuffer(),
      "a.gif": await raw(PICTURE).gif().toBuffer(),
    };
    for (const [name, bytes] of Object.entries(files)) {
      for (const share of [0.4, 0.8]) {
        const failure = await decodeImage(bytes.subarray(0, bytes.length * share), name).catch(
          (error: Error) => error.message,
        );
        expect(failure).toMatch(
          new RegExp(`^image: ${name} is truncated or damaged \\([^\\n]+\\): get the file again$`),
        );
      }
    }
  });

  test("what is no image, empty, missing or a folder gives one line", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "text.jpg"), "this is a letter, not a picture");
    writeFileSync(join(folder, "empty.png"), "");
    await expect(readImage(join(folder, "text.jpg"))).rejects.toThrow(
      `image: ${join(folder, "text.jpg")} is not an image but text: give a JPEG, PNG, WebP, TIFF, AVIF or GIF file`,
    );
    await expect(readImage(join(folder, "empty.png"))).rejects.toThrow("is empty (0 bytes)");
    await expect(readImage(join(folder, "none.png"))).rejects.toThrow("does not exist: check the path");
    await expect(readImage(folder)).rejects.toThrow("is a folder: give an image file");
  });

  test("PNG holds more than is read", async () => {
    const [width, height] = [16384, 16385];
    const png = await encodeImage({ width, height, data: new Uint8Array(width * height * 3) }, "a.png");
    expect(await sharp(png, { limitInputPixels: false }).metadata()).toMatchObject({ width, height });
  });

  test("writing another format is refused", async () => {
    await expect(writeImage("a.bmp", PICTURE)).rejects.toThrow(
      "cannot write a.bmp: its name must end in .png, .jpg, .webp, .avif or .tif",
    );
  });
});

describe("listImages", () => {
  test("lists images by name and leaves other files, hidden ones and folders out", async () => {
    const folder = temporaryFolder();
    for (const name of ["b.PNG", "a.jpeg", "notes.txt", ".hidden.png"]) writeFileSync(join(folder, name), "");
    mkdirSync(join(folder, "sub"));
    expect(await listImages(folder)).toEqual([join(folder, "a.jpeg"), join(folder, "b.PNG")]);
    mkdirSync(join(folder, ".cache"));
    for (const name of ["sub/a.png", "sub/n.txt", ".cache/c.png"]) writeFileSync(join(folder, name), "");
    expect(await listImages(folder, true)).toEqual(["a.jpeg", "b.PNG", "sub/a.png"].map((name) => join(folder, name)));
  });

  test("an empty folder is an error that names it", async () => {
    const folder = temporaryFolder();
    await expect(listImages(folder)).rejects.toThrow(`folder: ${folder} holds no images (.jpg, .jpeg, .jpe`);
  });

  test("stem cuts folder and ending", () => {
    expect(stem("photos/sheep.v2.jpg")).toBe("sheep.v2");
  });
});
