import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { memorySink, openTiff, type PhotoMetadata, wholeNumbers } from "@deplsr/photo";
import sharp from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import { decodePhoto } from "../../src/photo/decode.ts";
import type { OutputFormat } from "../../src/photo/output-format.ts";
import { readProvenance } from "../../src/photo/provenance.ts";
import { tiffEncoder } from "../../src/photo/tiff-encoder.ts";
import { encodePhoto, type WritablePhoto, writePhoto } from "../../src/photo/write.ts";
import { openPhotoWriter } from "../../src/photo/writer.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { matrixProfile } from "./files.ts";

const [WIDTH, HEIGHT] = [61, 47];
const XMP =
  '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" ' +
  'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" tiff:Orientation="6" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>';
const PROVENANCE = { model: "0af3", options: { scale: 2, name: `a"b<c>&'d` } };

function photo(depth: 8 | 16, alpha: boolean, metadata?: PhotoMetadata): WritablePhoto {
  const white = depth === 8 ? 255 : 65535;
  const wave = (length: number, speed: number): Uint8Array | Uint16Array => {
    const values = Array.from({ length }, (_, i) => Math.round(white * (0.5 + 0.5 * Math.sin(i * speed + (i % 3)))));
    return depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values);
  };
  const pixels = WIDTH * HEIGHT;
  return {
    width: WIDTH,
    height: HEIGHT,
    depth,
    data: wave(pixels * 3, 0.01),
    alpha: alpha ? wave(pixels, 0.02) : null,
    profile: null,
    ...(metadata ? { metadata } : {}),
  };
}

/** The largest difference. */
function difference(a: Uint8Array | Uint16Array, b: Uint8Array | Uint16Array): number {
  return b.length === a.length
    ? Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
    : Infinity;
}

let metadata: PhotoMetadata;

beforeAll(async () => {
  const jpeg = await sharp({ create: { width: 4, height: 4, channels: 3, background: "red" } })
    .withExif({
      IFD0: { Copyright: "somebody", Make: "Camera" },
      IFD2: { PixelXDimension: "4", PixelYDimension: "4", LensModel: "50mm" },
      IFD3: { GPSLatitudeRef: "N", GPSLatitude: "10/1 20/1 30/1" },
    })
    .withMetadata({ orientation: 6, density: 300 })
    .jpeg()
    .toBuffer();
  metadata = { ...(await decodePhoto(jpeg, "a.jpg")).metadata, xmp: XMP };
});

/** Entries of a file's EXIF that tests look at. */
function exifOf(block: Uint8Array): { orientation: number[]; size: number[]; gps: boolean; copyright: string } {
  const exif = openTiff(block)!;
  const first = exif.directory(exif.first)!.entries;
  const below = (tag: number) => exif.directory(wholeNumbers(first.get(tag))[0]!)!.entries;
  return {
    orientation: wholeNumbers(first.get(0x0112)),
    size: [0xa002, 0xa003].flatMap((tag) => wholeNumbers(below(0x8769).get(tag))),
    gps: below(0x8825).has(2),
    copyright: Buffer.from(first.get(0x8298)!.bytes).toString("latin1").replace("\0", ""),
  };
}

const EXACT: readonly (readonly [format: OutputFormat, quality: number | undefined, depths: readonly (8 | 16)[]])[] = [
  ["png", undefined, [8, 16]],
  ["tiff", undefined, [8, 16]],
  ["webp", undefined, [8]],
  ["avif", 100, [8]],
];

describe.each(EXACT)("%s keeps every value", (format, quality, depths) => {
  test.each(depths.flatMap((depth) => [false, true].map((alpha) => [depth, alpha] as const)))(
    "%i bits, opacity: %s",
    async (depth, alpha) => {
      const original = photo(depth, alpha);
      const { bytes, notes } = await encodePhoto(original, { format, ...(quality ? { quality } : {}) });
      expect(notes).toEqual([]);
      // Read by the decoder alone, without what reads photos here.
      const picture = sharp(bytes, { ignoreIcc: true });
      if (depth === 16) picture.toColourspace("rgb16");
      const { data, info } = await picture
        .raw({ depth: depth === 8 ? "uchar" : "ushort" })
        .toBuffer({ resolveWithObject: true });
      const values = depth === 8 ? data : new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
      expect(info.channels).toBe(alpha ? 4 : 3);
      const right = Array.from({ length: WIDTH * HEIGHT }, (_, i) => [
        ...original.data.subarray(i * 3, i * 3 + 3),
        ...(alpha ? [original.alpha![i]!] : []),
      ]).flat();
      expect(values.every((value, i) => value === right[i])).toBe(true);
    },
  );
});

describe.each(["png", "tiff", "jpeg", "webp", "avif"] as const)("%s", (format) => {
  test("keeps EXIF, GPS, XMP and density, upright and of the new size; says what made it", async () => {
    const path = join(temporaryFolder(), `a.${format === "tiff" ? "tif" : format}`);
    await writePhoto(path, photo(8, false, metadata), { provenance: PROVENANCE });
    const back = await decodePhoto(readFileSync(path), path);
    expect([back.width, back.height]).toEqual([WIDTH, HEIGHT]);
    const found = exifOf(back.metadata.exif!);
    // AVIF's encoder leaves out an orientation of 1, which is what a missing one means.
    expect(found.orientation[0] ?? 1).toBe(1);
    expect(found).toMatchObject({ size: [WIDTH, HEIGHT], gps: true, copyright: "somebody" });
    expect(back.metadata.xmp).toContain('tiff:Orientation="1"');
    expect(back.metadata.xmp).toContain('xmp:Rating="5"');
    expect(await readProvenance(path)).toEqual(PROVENANCE);
    if (format !== "webp" && format !== "avif") expect(back.metadata.density).toBe(300);
    // A second round replaces the entry, and leaves one.
    await writePhoto(
      path,
      { ...photo(8, false), metadata: back.metadata },
      { provenance: { model: "1", options: {} } },
    );
    const again = await decodePhoto(readFileSync(path), path);
    expect(again.metadata.xmp!.match(/deplsr:model/g)).toHaveLength(1);
    expect(await readProvenance(path)).toEqual({ model: "1", options: {} });
  });

  test("`strip` leaves all of that out", async () => {
    const { bytes } = await encodePhoto(photo(8, false, metadata), { format, strip: true, provenance: PROVENANCE });
    const back = await decodePhoto(bytes, "a");
    expect([back.metadata.exif, back.metadata.xmp]).toEqual([null, null]);
    expect(Buffer.from(bytes).includes("somebody")).toBe(false);
  });

  test("a profile of its own is kept with values that stay as they are", async () => {
    const profile = matrixProfile("RGB", 563 / 256);
    const { bytes } = await encodePhoto(
      { ...photo(8, false), profile },
      { format, ...(format === "avif" ? { quality: 100 } : {}) },
    );
    const back = await decodePhoto(bytes, "a", { colours: "own" });
    expect(Buffer.from(back.profile!).equals(profile)).toBe(true);
    const most = difference(back.data, photo(8, false).data);
    expect(most).toBeLessThanOrEqual(format === "jpeg" ? 8 : 0);
  });
});

test("what a format cannot hold is said", async () => {
  const deep = photo(16, true);
  const jpeg = await encodePhoto(
    { ...deep, data: new Uint16Array(WIDTH * HEIGHT * 3), alpha: new Uint16Array(WIDTH * HEIGHT) },
    { format: "jpeg" },
  );
  expect(jpeg.notes).toEqual([
    "JPEG holds no transparency: the picture is put on white",
    "JPEG holds 8 bits a channel: 16 are rounded to those",
  ]);
  expect((await decodePhoto(jpeg.bytes, "a")).data.every((value) => value === 255)).toBe(true);
  const avif = await encodePhoto(deep, { format: "avif", quality: 100 });
  expect(avif.notes).toEqual(["AVIF holds 12 bits a channel: 16 are rounded to those"]);
  const back = await decodePhoto(avif.bytes, "a");
  // Half a step of 12 bits, and the rounding to 16.
  expect(difference(back.data, deep.data)).toBeLessThanOrEqual(9);
  expect(difference(back.alpha!, deep.alpha!)).toBeLessThanOrEqual(9);
});

test("grey is written with one channel while it is grey", async () => {
  const grey = { ...photo(8, false), grey: true };
  expect((await sharp((await encodePhoto(grey, { format: "png" })).bytes).metadata()).channels).toBe(3);
  grey.data = grey.data.map((_, i) => Math.floor(i / 3) % 256);
  for (const format of ["png", "tiff"] as const)
    expect((await sharp((await encodePhoto(grey, { format })).bytes).metadata()).channels).toBe(1);
});

test("sizes that a format has no room for are refused with their numbers", async () => {
  const wide = { ...photo(8, false), width: 20000, height: 1, data: new Uint8Array(60000) };
  await expect(writePhoto("a.webp", wide)).rejects.toThrow(
    "image: a.webp would be 20000x1, where its format ends at 16383 pixels a side: write a .png or .tif",
  );
  await expect(writePhoto("a.bmp", wide)).rejects.toThrow(
    "image: cannot write a.bmp: its name must end in .png, .jpg, .webp, .avif or .tif",
  );
});

describe("row by row", () => {
  test.each(["png", "tif"])("%s: any number of rows at a time, over the borders of strips", async (ending) => {
    const folder = temporaryFolder();
    const [width, height] = [1500, 700];
    const values = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919 + i / 300) % 256);
    const path = join(folder, `a.${ending}`);
    const writer = await openPhotoWriter(path, { width, height, channels: 3, depth: 8, profile: null });
    let top = 0;
    for (const rows of [1, 2, 300, 7, 390]) {
      const part = Buffer.from(values.subarray(top * width * 3, (top + rows) * width * 3));
      await writer.writeRows(part);
      part.fill(0);
      top += rows;
    }
    expect(readdirSync(folder).filter((name) => !name.startsWith("."))).toEqual([]);
    await writer.close();
    await writer.abort();
    expect(readdirSync(folder)).toEqual([`a.${ending}`]);
    expect(Buffer.from(values).equals(await sharp(path).raw().toBuffer())).toBe(true);
    expect(statSync(path).size).toBeLessThan(values.length * 1.01);
  });

  test("an abort, and rows that are missing, leave nothing; an old file stays", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.png");
    writeFileSync(path, "old");
    const description = { width: 2, height: 2, channels: 3, depth: 16, profile: null } as const;
    const aborted = await openPhotoWriter(path, description);
    await aborted.writeRows(new Uint16Array(6));
    await aborted.abort();
    const short = await openPhotoWriter(path, description);
    await short.writeRows(new Uint16Array(6));
    await expect(short.close()).rejects.toThrow("1 rows for a picture of 2");
    const long = await openPhotoWriter(path, description);
    await expect(long.writeRows(new Uint16Array(18))).rejects.toThrow("3 rows for a picture of 2");
    expect(readdirSync(folder)).toEqual(["a.png"]);
    expect(readFileSync(path, "utf8")).toBe("old");
    await expect(openPhotoWriter(join(folder, "a.jpg"), description)).rejects.toThrow(
      "cannot be written row by row: its name must end in .png or .tif",
    );
  });

  // Only Linux has a file on a disk that is always full.
  test.runIf(process.platform === "linux").each(["png", "tif"])(
    "%s: a disk that fills up gives one line, and leaves nothing",
    async (ending) => {
      const folder = temporaryFolder();
      const path = join(folder, `a.${ending}`);
      writeFileSync(path, "old");
      const description = { width: 1500, height: 700, channels: 3, depth: 8, profile: null } as const;
      const full = async (temporary: string): Promise<FileHandle> => {
        writeFileSync(temporary, "the first half");
        return open("/dev/full", "w");
      };
      const write = async (): Promise<void> => {
        const writer = await openPhotoWriter(path, description, full);
        await writer.writeRows(new Uint8Array(1500 * 700 * 3));
        await writer.close();
      };
      await expect(write()).rejects.toMatchObject({
        name: "UserError",
        message: `write: no space left on the disk for ${path}: free some space or choose another folder`,
      });
      expect(readdirSync(folder)).toEqual([`a.${ending}`]);
      expect(readFileSync(path, "utf8")).toBe("old");
    },
  );

  test("BigTIFF", async () => {
    const { data } = photo(16, false);
    const sink = memorySink();
    const encoder = await tiffEncoder(
      { width: WIDTH, height: HEIGHT, channels: 3, depth: 16 },
      { profile: null, exif: metadata.exif, xmp: XMP, density: 300 },
      sink,
      true,
    );
    await encoder.writeRows(data);
    await encoder.end();
    const bytes = Buffer.from(sink.bytes());
    expect(bytes.subarray(0, 4).toString("latin1")).toBe("II+\0");
    const raw = await sharp(bytes).toColourspace("rgb16").raw({ depth: "ushort" }).toBuffer();
    expect(new Uint16Array(raw.buffer, raw.byteOffset, raw.length / 2)).toEqual(data);
    expect(await sharp(bytes).metadata()).toMatchObject({ density: 300, xmpAsString: XMP });
  });
});
