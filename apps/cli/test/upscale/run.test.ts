import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openTiff, wholeNumbers } from "@deplsr/photo";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodePhoto } from "../../src/photo/decode.ts";
import { writePhoto } from "../../src/photo/write.ts";
import type { UpscaleFlags } from "../../src/upscale/flags.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { HEIGHT, photoIn, upscale, WIDTH } from "./run-upscale.ts";

/** A file's values, by the decoder alone. */
async function valuesOf(path: string, depth: 8 | 16 = 8): Promise<{ values: number[]; width: number; height: number }> {
  const picture = sharp(path, { ignoreIcc: true });
  if (depth === 16) picture.toColourspace("rgb16");
  const { data, info } = await picture
    .raw({ depth: depth === 8 ? "uchar" : "ushort" })
    .toBuffer({ resolveWithObject: true });
  const values = depth === 8 ? data : new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  return { values: [...values], width: info.width, height: info.height };
}

/** Every pixel four times. */
function nearest(values: readonly number[], width: number, channels: number): number[] {
  return Array.from({ length: values.length * 4 }, (_, i) => {
    const [channel, pixel] = [i % channels, Math.floor(i / channels)];
    const [x, y] = [pixel % (2 * width), Math.floor(pixel / (2 * width))];
    return values[(Math.floor(y / 2) * width + Math.floor(x / 2)) * channels + channel]!;
  });
}

/** Twice the size by Keys' cubic convolution, whose weights at a quarter pixel are these, edges repeated. */
function bicubic(values: readonly number[], width: number, channels: number): number[] {
  const weights = [-3, 29, 111, -9].map((weight) => weight / 128);
  /** Doubles the axis whose values are `stride` apart. */
  const along = (line: readonly number[], length: number, stride: number): number[] =>
    Array.from({ length: line.length * 2 }, (_, i) => {
      const at = Math.floor(i / stride) % (2 * length);
      const start = Math.floor(i / stride / (2 * length)) * length * stride + (i % stride);
      const [from, order] = at % 2 === 0 ? [at / 2 - 2, weights] : [(at - 1) / 2 - 1, [...weights].reverse()];
      const tap = (k: number): number => line[start + Math.min(length - 1, Math.max(0, from + k)) * stride]!;
      return order.reduce((sum, weight, k) => sum + weight * tap(k), 0);
    });
  const height = values.length / width / channels;
  const wide = along(values, width, channels);
  return along(wide, height, 2 * width * channels).map((value) => Math.min(255, Math.max(0, value)));
}

/** The largest difference. */
function difference(a: readonly number[], b: readonly number[]): number {
  return a.length === b.length ? Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) : Infinity;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

describe("sizes and strength", () => {
  test.each(["auto", "16"])("--tile %s gives what the network makes", async (tile) => {
    const folder = temporaryFolder();
    const photo = await photoIn(folder, "a.png");
    const { lines, code } = await upscale({ images: [photo], out: folder, tile });
    expect(lines).toContain(`${photo} -> ${folder}/a_x2.png (42x28, `);
    expect(code).toBe(0);
    expect((await valuesOf(join(folder, "a_x2.png"))).values).toEqual(
      nearest([...picture(WIDTH, HEIGHT).data], WIDTH, 3),
    );
  });

  const sizes: [flags: Partial<UpscaleFlags>, name: string, width: number, height: number][] = [
    [{ scale: 1 }, "a_x1.png", 21, 14],
    [{ scale: 1.5 }, "a_x1.5.png", 32, 21],
    [{ scale: 3 }, "a_x3.png", 63, 42],
    [{ width: 60 }, "a_x60w.png", 60, 40],
    [{ height: 7 }, "a_x7h.png", 11, 7],
    [{ width: 30, height: 30 }, "a_x30x30.png", 30, 30],
  ];
  test.each(sizes)("%o gives %s of %i x %i with the photo's colours", async (flags, name, width, height) => {
    const folder = temporaryFolder();
    await upscale({ images: [await photoIn(folder, "a.png")], out: folder, ...flags });
    const result = await valuesOf(join(folder, name));
    expect([result.width, result.height]).toEqual([width, height]);
    expect(Math.abs(mean(result.values) - mean([...picture(WIDTH, HEIGHT).data]))).toBeLessThan(1.5);
  });

  test("--strength 0 is bicubic enlargement, 0.5 the mean of that and the network's result", async () => {
    const folder = temporaryFolder();
    const images = [await photoIn(folder, "a.png")];
    for (const strength of [0, 0.5, 1]) await upscale({ images, out: folder, strength, suffix: `_${strength}` });
    const [plain, half, full] = await Promise.all([0, 0.5, 1].map((s) => valuesOf(join(folder, `a_${s}.png`))));
    expect(difference(plain!.values, bicubic([...picture(WIDTH, HEIGHT).data], WIDTH, 3))).toBeLessThan(0.51);
    const between = half!.values.map((value, i) => Math.abs(value - (plain!.values[i]! + full!.values[i]!) / 2));
    // Strength 0 shows values that were cut off and rounded, the mixture is made of those before.
    expect(mean(between)).toBeLessThan(0.5);
    expect(plain!.values).not.toEqual(full!.values);
  });
});

describe("what a photo has is kept", () => {
  test("16 bits, EXIF, GPS and XMP", async () => {
    const folder = temporaryFolder();
    const jpeg = await sharp({ create: { width: 4, height: 4, channels: 3, background: "red" } })
      .withExif({ IFD0: { Copyright: "somebody" }, IFD3: { GPSLatitudeRef: "N", GPSLatitude: "10/1 20/1 30/1" } })
      .jpeg()
      .toBuffer();
    const { metadata } = await decodePhoto(jpeg, "a.jpg");
    const xmp =
      '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
      '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>';
    const data = Uint16Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => (i * 7919) % 65536);
    const photo = join(folder, "a.png");
    const pixels = { width: WIDTH, height: HEIGHT, depth: 16, data, alpha: null, profile: null } as const;
    await writePhoto(photo, { ...pixels, metadata: { ...metadata, xmp } });
    await upscale({ images: [photo], out: folder });
    await upscale({ images: [photo], out: folder, strip: true, suffix: "_bare" });
    const right = nearest([...data], WIDTH, 3);
    for (const name of ["a_x2.png", "a_bare.png"]) {
      expect((await sharp(join(folder, name)).metadata()).depth).toBe("ushort");
      expect((await valuesOf(join(folder, name), 16)).values).toEqual(right);
    }
    const made = await sharp(join(folder, "a_x2.png")).metadata();
    expect(made.xmpAsString).toContain('xmp:Rating="5"');
    const exif = openTiff(made.exif!)!;
    const first = exif.directory(exif.first)!.entries;
    expect(Buffer.from(first.get(0x8298)!.bytes).toString("latin1")).toBe("somebody\0");
    expect(exif.directory(wholeNumbers(first.get(0x8825))[0]!)!.entries.has(2)).toBe(true);
    const bare = await sharp(join(folder, "a_bare.png")).metadata();
    expect([bare.exif, bare.xmp]).toEqual([undefined, undefined]);
    const beside = JSON.parse(readFileSync(join(folder, "a_bare.png.deplsr.json"), "utf8"));
    expect(beside).toEqual({
      model: expect.stringMatching(/^[0-9a-f]{64}$/),
      options: expect.objectContaining({ strength: 1, colour: "free", photo: expect.stringMatching(/^[0-9a-f]{64}$/) }),
    });
    // Which is how it is known to be done.
    const { lines } = await upscale({ images: [photo], out: folder, strip: true, suffix: "_bare" });
    expect(lines).toContain("1 photograph of 1 had been done already");
  });

  test("transparency; JPEG, which holds none, says so", async () => {
    const folder = temporaryFolder();
    const photo = await photoIn(folder, "a.png", 4);
    const { warnings } = await upscale({ images: [photo], out: folder });
    expect(warnings).not.toContain("warning");
    const opacity = async (path: string): Promise<number[]> =>
      (await valuesOf(path)).values.filter((_, i) => i % 4 === 3);
    expect(difference(await opacity(join(folder, "a_x2.png")), bicubic(await opacity(photo), WIDTH, 1))).toBeLessThan(
      0.51,
    );
    const jpeg = await upscale({ images: [photo], out: join(folder, "a.jpg") });
    expect(jpeg.warnings).toContain(
      `warning: ${folder}/a.jpg: JPEG holds no transparency: the picture is put on white\n`,
    );
    expect((await sharp(join(folder, "a.jpg")).metadata()).channels).toBe(3);
  });

  test("--format same keeps each photo's format, and gives PNG for what is not written", async () => {
    const folder = temporaryFolder();
    for (const name of ["a.jpg", "b.tif", "c.webp", "d.gif"]) await photoIn(folder, name);
    await upscale({ images: [folder], out: join(folder, "out"), format: "same" });
    expect(readdirSync(join(folder, "out")).sort()).toEqual(["a_x2.jpg", "b_x2.tif", "c_x2.webp", "d_x2.png"]);
    const formats = await Promise.all(
      readdirSync(join(folder, "out")).map(async (name) => (await sharp(join(folder, "out", name)).metadata()).format),
    );
    expect(formats.sort()).toEqual(["jpeg", "png", "tiff", "webp"]);
  });
});

test("results beside their photos are not enlarged again, whatever is asked for the next time", async () => {
  const folder = temporaryFolder();
  const photo = await photoIn(folder, "a.png");
  await photoIn(folder, "b.jpg");
  await upscale({ images: [folder], out: folder });
  await upscale({ images: [photo], out: folder, strip: true, suffix: "_bare" });
  const again = await upscale({ images: [folder], out: folder });
  expect(again.lines).toContain(`3 results of earlier runs in ${folder} left alone`);
  expect([again.code, again.lines]).toEqual([0, expect.stringContaining("2 photographs of 2 had been done already")]);
  await upscale({ images: [folder], out: folder, scale: 1 });
  expect(
    readdirSync(folder)
      .filter((name) => !name.includes("deplsr"))
      .sort(),
  ).toEqual(["a.png", "a_bare.png", "a_x1.png", "a_x2.png", "b.jpg", "b_x1.png", "b_x2.png"]);
  // Named alone, or for another folder, they are photos as others are.
  await upscale({ images: [join(folder, "a_x2.png")], out: folder });
  await upscale({ images: [folder], out: join(folder, "out") });
  expect(readdirSync(join(folder, "out")).sort()).toContain("a_x2_x2.png");
  rmSync(photo);
  rmSync(join(folder, "b.jpg"));
  await expect(upscale({ images: [folder], out: folder })).rejects.toThrow(
    `photographs are results of earlier runs in ${folder}: give another --out`,
  );
});

test("a folder of 5,000 entries is sorted out in no time", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "sub"));
  for (let i = 0; i < 4998; i++) writeFileSync(join(folder, `${i}.txt`), "");
  await photoIn(folder, "a.png");
  const started = performance.now();
  const { warnings, lines } = await upscale({ images: [folder], out: join(folder, "sub") });
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(warnings).toMatch(/^warning: left out 4998 files that are no photos: .* and 4990 more; 1 sub-folder/);
  expect(lines).toContain("a_x2.png (42x28, ");
});
