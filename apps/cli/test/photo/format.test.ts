import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { recognise } from "@deplsr/photo";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodePhoto } from "../../src/photo/decode.ts";
import { kindOfFile } from "../../src/photo/file-kind.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { directory, tiff } from "./files.ts";

const latin1 = (text: string): Buffer => Buffer.concat([Buffer.from(text, "latin1"), Buffer.alloc(64)]);
const brand = (...brands: string[]): Buffer => {
  const box = Buffer.from(`\0\0\0\0ftyp${brands[0]}\0\0\0\0${brands.slice(1).join("")}`, "latin1");
  box.writeUInt32BE(box.length, 0);
  return Buffer.concat([box, Buffer.alloc(64)]);
};

const REFUSED: readonly (readonly [bytes: Buffer, message: string])[] = [
  [brand("heic", "mif1", "heic"), "is HEIC (HEVC), which cannot be read here: export it as JPEG or PNG"],
  [brand("mif1", "mif1", "heix"), "is HEIC (HEVC), which"],
  [brand("mif1", "jpeg"), "is HEIF, which"],
  [brand("isom", "mp41"), "is a video (MP4, MOV), which cannot be read here: take a frame out of it as PNG"],
  [brand("qt  "), "is a video (MP4, MOV)"],
  [
    brand("crx ", "isom"),
    "is camera raw (CR3), which cannot be read here: develop it first and export it as TIFF or JPEG",
  ],
  [latin1("II*\0\x10\0\0\0CR\x02\0"), "is camera raw (CR2)"],
  [latin1("FUJIFILMCCD-RAW 0201"), "is camera raw (RAF)"],
  [latin1("IIRO\x08\0\0\0"), "is camera raw (ORF)"],
  [latin1("IIU\0\x08\0\0\0"), "is camera raw (RW2)"],
  [latin1("\xff\x0a"), "is JPEG XL, which cannot be read here: export it as JPEG, PNG or TIFF"],
  [latin1("\0\0\0\x0cJXL \r\n\x87\n"), "is JPEG XL"],
  [latin1("\0\0\0\x0cjP  \r\n\x87\n"), "is JPEG 2000"],
  [latin1("8BPS\0\x01"), "is a Photoshop document (PSD)"],
  [latin1("%PDF-1.7"), "is a PDF document, which cannot be read here: export its pages as PNG"],
  [latin1("BM6\x10\0\0"), "is BMP, which cannot be read here: save it as PNG"],
  [latin1("RIFF\0\0\0\0AVI LIST"), "is a video (AVI)"],
  [latin1("\x1aE\xdf\xa3"), "is a video (Matroska, WebM)"],
  [latin1("PK\x03\x04"), "is a ZIP archive, which cannot be read here: unpack it first"],
  [
    Buffer.from('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "is a drawing (SVG)",
  ],
  [Buffer.from("<!DOCTYPE html><title>404</title>"), "is not an image but a web page (HTML): give a JPEG"],
  [Buffer.from("not found\n"), "is not an image but text: give a JPEG, PNG, WebP, TIFF, AVIF or GIF file"],
  [Buffer.from("version https://git-lfs.github.com/spec/v1\noid"), "is a Git LFS pointer"],
  [Buffer.from([0, 1, 2, 3, 4, 5, 6, 7]), "is not an image that can be read: give a JPEG"],
];

test.each(REFUSED)("what cannot be read is named, whatever its name (%#)", async (bytes, message) => {
  await expect(decodePhoto(bytes, "photo.jpg")).rejects.toThrow(`image: photo.jpg ${message}`);
});

describe("a TIFF with sensor values is camera raw, not its thumbnail", () => {
  const thumbnail = { width: 2, height: 2, channels: 3, values: new Uint8Array(12) };

  test.each([false, true])("DNG (big-endian: %s)", (big) => {
    const bytes = tiff(thumbnail, {
      big,
      more: [
        [0x00fe, 4, [1]],
        [0xc612, 1, [1, 4, 0, 0]],
      ],
    });
    expect(recognise(bytes)).toMatchObject({ what: "camera raw (DNG)" });
  });

  test("a colour filter array in a directory below, and makers' own kinds", () => {
    const at = 1000;
    const below = directory([[0x0106, 3, [32803]]], at);
    const head = tiff(thumbnail, {
      more: [
        [0x010f, 2, [...Buffer.from("NIKON CORP\0")]],
        [0x014a, 4, [at]],
      ],
    });
    const bytes = Buffer.concat([head, Buffer.alloc(at - head.length), below]);
    expect(recognise(bytes)).toMatchObject({ photo: null, what: "camera raw (NEF)" });
  });

  test("pages, and a photo with EXIF, are photos", async () => {
    expect(recognise(tiff(thumbnail, { more: [[0x010f, 2, [...Buffer.from("NIKON CORP\0")]]] }))).toEqual({
      photo: "tiff",
    });
    const edited = await sharp({ create: { width: 2, height: 2, channels: 3, background: "red" } })
      .withExif({ IFD0: { Make: "NIKON" } })
      .tiff()
      .toBuffer();
    expect(recognise(edited)).toEqual({ photo: "tiff" });
  });
});

test("nothing of what can be read is taken for something else", async () => {
  const picture = sharp({ create: { width: 2, height: 2, channels: 3, background: "red" } });
  for (const [format, name] of [
    ["jpeg", "jpeg"],
    ["png", "png"],
    ["webp", "webp"],
    ["tiff", "tiff"],
    ["avif", "avif"],
    ["gif", "gif"],
  ] as const)
    expect(recognise(await picture.clone().toFormat(format).toBuffer())).toEqual({ photo: name });
});

test("what a folder holds is named by its content", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "sub"));
  const kinds = {
    "a.heic": REFUSED[0]![0],
    "b.txt": Buffer.from("words"),
    "c.nef": tiff({ width: 1, height: 1, channels: 3, values: new Uint8Array(3) }),
    "d.bin": Buffer.alloc(9, 1),
  };
  for (const [name, bytes] of Object.entries(kinds)) writeFileSync(join(folder, name), bytes);
  const found = await Promise.all([...Object.keys(kinds), "none", "sub"].map((name) => kindOfFile(join(folder, name))));
  expect(found).toEqual(["HEIC (HEVC)", null, "camera raw (NEF)", null, null, null]);
});
