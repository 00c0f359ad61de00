import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { toImage } from "../../src/data/image.ts";
import { decodePhoto } from "../../src/photo/decode.ts";
import { ADOBE, type Columns, matrixProfile, png, type Raw, SRGB, tableProfile, tiff } from "./files.ts";

const [WIDTH, HEIGHT] = [9, 7];

/** Colours 0..1 all over the cube, primaries among them. */
const COLOURS = Array.from({ length: WIDTH * HEIGHT }, (_, i): number[] =>
  i < 8 ? [i & 1, (i >> 1) & 1, i >> 2] : [((i * 37) % 101) / 100, ((i * 53) % 97) / 96, ((i * 71) % 89) / 88],
);

const WHITE = { 8: 255, 16: 65535 } as const;

function picture(depth: 8 | 16, channels: 1 | 2 | 3 | 4): Raw {
  const white = WHITE[depth];
  const values = COLOURS.flatMap((colour, i) => {
    const opacity = channels % 2 === 0 ? [(i % 10) / 9] : [];
    return [...(channels < 3 ? colour.slice(0, 1) : colour), ...opacity].map((value) => Math.round(value * white));
  });
  return {
    width: WIDTH,
    height: HEIGHT,
    channels,
    values: depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values),
  };
}

/** sRGB of an RGB profile's values, by definition, in double precision. @see ICC.1, F.3; IEC 61966-2-1 */
function byDefinition(value: readonly number[], gamma: number, columns: Columns): number[] {
  const light = value.map((v) => v ** gamma);
  const xyz = [0, 1, 2].map((k) => light.reduce((sum, v, i) => sum + v * columns[i]![k]!, 0));
  return solve(SRGB, xyz).map((v) => encode(Math.min(1, Math.max(0, v))));
}

function encode(light: number): number {
  return light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055;
}

/** Cramer's rule. */
function solve(columns: Columns, right: readonly number[]): number[] {
  const determinant = ([a, b, c]: readonly (readonly number[])[]): number =>
    a![0]! * (b![1]! * c![2]! - b![2]! * c![1]!) -
    b![0]! * (a![1]! * c![2]! - a![2]! * c![1]!) +
    c![0]! * (a![1]! * b![2]! - a![2]! * b![1]!);
  return [0, 1, 2].map(
    (i) => determinant(columns.map((column, j) => (j === i ? right : column))) / determinant(columns),
  );
}

/** The largest difference from what is right, in levels of 255. */
function levels(data: Uint8Array | Uint16Array, right: readonly number[][]): number {
  const white = data instanceof Uint8Array ? 255 : 65535;
  return right.flat().reduce((most, value, i) => Math.max(most, Math.abs(data[i]! / white - value) * 255), 0);
}

const FILES = {
  png: (raw: Raw) => png(raw),
  tiff: (raw: Raw) => tiff(raw),
  "tiff, big-endian": (raw: Raw) => tiff(raw, { big: true }),
};

describe.each(Object.entries(FILES))("%s", (_name, file) => {
  describe.each([8, 16] as const)("%i bits", (depth) => {
    const stored = (channels: 1 | 3): number[][] =>
      COLOURS.map((colour) =>
        (channels === 1 ? Array(3).fill(colour[0]) : colour).map(
          (v: number) => Math.round(v * WHITE[depth]) / WHITE[depth],
        ),
      );
    // Half a level of the file's own depth, and what numbers of a profile are rounded to.
    const rounding = depth === 8 ? 0.6 : 0.1;

    test.each([1, 2, 3, 4] as const)("%i channels are what is stored", async (channels) => {
      const photo = await decodePhoto(file(picture(depth, channels)), "a");
      expect(photo).toMatchObject({
        width: WIDTH,
        height: HEIGHT,
        depth,
        grey: channels < 3,
        profile: null,
        notes: [],
      });
      expect(levels(photo.data, stored(channels < 3 ? 1 : 3))).toBe(0);
      if (channels % 2 === 1) expect(photo.alpha).toBeNull();
      else expect([...photo.alpha!]).toEqual(COLOURS.map((_, i) => Math.round(((i % 10) / 9) * WHITE[depth])));
    });

    test("sRGB's profile changes nothing", async () => {
      const icc = (
        await sharp(
          await sharp({ create: { width: 1, height: 1, channels: 3, background: "red" } })
            .withIccProfile("srgb")
            .png()
            .toBuffer(),
        ).metadata()
      ).icc!;
      const photo = await decodePhoto(file({ ...picture(depth, 3), icc }), "a");
      expect(levels(photo.data, stored(3))).toBe(0);
      expect(photo.metadata.icc!.description).toMatch(/sRGB/);
      expect(Buffer.from(photo.metadata.icc!.bytes).equals(icc)).toBe(true);
    });

    test.each([3, 4] as const)("an RGB profile of %i channels is converted", async (channels) => {
      for (const [gamma, columns] of [
        [563 / 256, ADOBE],
        [1, SRGB],
        [1.796875, ADOBE],
      ] as const) {
        const photo = await decodePhoto(
          file({ ...picture(depth, channels), icc: matrixProfile("RGB", gamma, columns) }),
          "a",
        );
        const right = stored(3).map((colour) => byDefinition(colour, gamma, columns));
        expect(levels(photo.data, right)).toBeLessThan(rounding);
        expect(photo.metadata.icc!.description).toBe("made for a test");
      }
    });

    test("a grey profile is converted", async () => {
      for (const channels of [1, 2] as const) {
        const photo = await decodePhoto(
          file({ ...picture(depth, channels), icc: matrixProfile("GRAY", 1.796875) }),
          "a",
        );
        expect(
          levels(
            photo.data,
            stored(1).map((colour) => colour.map((v) => encode(v ** 1.796875))),
          ),
        ).toBeLessThan(rounding);
      }
    });

    test("a profile of tables is converted", async () => {
      const icc = tableProfile(2.19921875, ADOBE);
      const photo = await decodePhoto(file({ ...picture(depth, 3), icc }), "a");
      expect(photo.notes).toEqual([]);
      const inside = stored(3).map((colour) => byDefinition(colour, 2.19921875, ADOBE));
      // Colours within sRGB: what lies outside is cut off by the decoder in its own way.
      const [data, right] = [[...photo.data], inside.flat()].map((values) =>
        values.filter((_, i) => inside[Math.floor(i / 3)]!.every((v) => v > 0.02 && v < 1)),
      );
      expect(right!.length).toBeGreaterThan(30);
      const most = right!.reduce((max, value, i) => Math.max(max, Math.abs(data![i]! / WHITE[depth] - value) * 255), 0);
      // The decoder lifts black a little when it goes from tables to a matrix, as it does with 8 bits.
      expect(most).toBeLessThan(2.1);
    });

    test("`own` keeps the values and says what they mean", async () => {
      const icc = matrixProfile("RGB", 563 / 256);
      const photo = await decodePhoto(file({ ...picture(depth, 3), icc }), "a", { colours: "own" });
      expect(levels(photo.data, stored(3))).toBe(0);
      expect(Buffer.from(photo.profile!).equals(icc)).toBe(true);
    });

    test("a profile that is damaged or of other channels is not used, and that is said", async () => {
      for (const icc of [matrixProfile("GRAY", 1).subarray(0, 140), Buffer.alloc(300, 1)]) {
        const photo = await decodePhoto(file({ ...picture(depth, 3), icc }), "a");
        expect(levels(photo.data, stored(3))).toBe(0);
      }
      const grey = await decodePhoto(file({ ...picture(depth, 3), icc: matrixProfile("GRAY", 1) }), "a");
      expect(levels(grey.data, stored(3))).toBe(0);
    });
  });
});

test("readers of 8 bits get the same colours from 8 and from 16", async () => {
  const icc = matrixProfile("RGB", 563 / 256);
  const [eight, sixteen] = await Promise.all(
    ([8, 16] as const).map(async (depth) => toImage(await decodePhoto(png({ ...picture(depth, 3), icc }), "a"))),
  );
  const right = COLOURS.map((colour) => byDefinition(colour, 563 / 256, ADOBE));
  expect(levels(sixteen!.data, right)).toBeLessThan(0.56);
  expect(eight!.data.every((value, i) => Math.abs(value - sixteen!.data[i]!) <= 3)).toBe(true);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])("orientation %i is applied, with opacity", async (orientation) => {
  const values = Uint16Array.from([1, 2, 3, 4, 5, 6].flatMap((v) => [v * 1000, v * 2000, v * 3000, v * 10000]));
  const photo = await decodePhoto(tiff({ width: 3, height: 2, channels: 4, values, orientation }), "a");
  // @see TIFF 6.0, page 36: rows of the upright picture, pixels numbered as stored: 1 2 3 / 4 5 6
  const upright = ["123456", "321654", "654321", "456123", "142536", "415263", "635241", "362514"][orientation - 1]!;
  expect([photo.width, photo.height]).toEqual(orientation > 4 ? [2, 3] : [3, 2]);
  expect([...photo.alpha!].map((v) => v / 10000).join("")).toBe(upright);
  expect(
    [...photo.data]
      .filter((_, i) => i % 3 === 2)
      .map((v) => v / 3000)
      .join(""),
  ).toBe(upright);
});

describe("float TIFF", () => {
  const floats = (values: number[], channels = 3): Buffer =>
    tiff({ width: 2, height: 1, channels, values: Float32Array.from(values) });

  test("colours from 0 to 1 and from 0 to 255, grey ones too", async () => {
    const one = await decodePhoto(floats([0, 0.25, 1, 0.5, 0.125, 0.75]), "a.tif");
    expect([...one.data]).toEqual([0, 16384, 65535, 32768, 8192, 49151]);
    expect(one.notes).toEqual(["a.tif is a float TIFF: its values are taken for colours from 0 to 1"]);
    expect([...(await decodePhoto(floats([0, 63.75, 255, 127.5, 51, 102]), "a")).data]).toEqual([
      0, 16384, 65535, 32768, 13107, 26214,
    ]);
    expect([...(await decodePhoto(floats([0.25, 1], 1), "a")).data]).toEqual([
      16384, 16384, 16384, 65535, 65535, 65535,
    ]);
    const light = tiff({
      width: 1,
      height: 1,
      channels: 3,
      values: Float32Array.of(0.5, 0.5, 0.5),
      icc: matrixProfile("RGB", 1, SRGB),
    });
    expect(Math.abs((await decodePhoto(light, "a")).data[0]! / 65535 - encode(0.5))).toBeLessThan(1e-4);
  });

  test("other ranges are refused in one line", async () => {
    const range = (values: number[]) => expect(decodePhoto(floats(values), "a.tif")).rejects;
    await range([0, 0.5, 5.25, 0, 0, 0]).toThrow(
      "image: a.tif is a float TIFF whose values go from 0.00 to 5.25, neither 0 to 1 nor 0 to 255: export it with 16 bits a channel",
    );
    await range([-0.5, 0.5, 1, 0, 0, 0]).toThrow("whose values go from -0.500 to 1.00");
    await range([Number.NaN, 0.5, 1, 0, 0, 0]).toThrow("a float TIFF with values that are no numbers");
  });
});

test("a camera's Adobe RGB without a profile is converted", async () => {
  // Interoperability index R03 in the EXIF directory's own: 8 IFD0, 26 EXIF, 56 interoperability.
  const exif = Buffer.from(
    "49492a0008000000" +
      "0100" +
      "6987040001000000" +
      "1a000000" +
      "00000000" +
      "0200" +
      "01a0030001000000ffff0000" +
      "05a0040001000000" +
      "38000000" +
      "00000000" +
      "0100" +
      "0100020004000000" +
      "52303300" +
      "00000000",
    "hex",
  );
  const jpeg = await sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 200, g: 100, b: 50 } } })
    .jpeg({ quality: 100, chromaSubsampling: "4:4:4" })
    .toBuffer();
  const segment = Buffer.concat([Buffer.from([0xff, 0xe1, 0, exif.length + 8]), Buffer.from("Exif\0\0"), exif]);
  const stored = await decodePhoto(jpeg, "a.jpg");
  const photo = await decodePhoto(Buffer.concat([jpeg.subarray(0, 2), segment, jpeg.subarray(2)]), "a.jpg");
  const right = byDefinition(
    [...stored.data.subarray(0, 3)].map((v) => v / 255),
    563 / 256,
    ADOBE,
  );
  expect(levels(photo.data.subarray(0, 3), [right])).toBeLessThan(0.55);
});

test("AVIF of 10 and 12 bits: white is white", async () => {
  for (const bitdepth of [10, 12] as const) {
    const values = Uint16Array.from({ length: 16 * 16 * 3 }, (_, i) => (i < 384 ? 65535 : 0));
    const avif = await sharp(values, { raw: { width: 16, height: 16, channels: 3 } })
      .toColourspace("rgb16")
      .avif({ lossless: true, bitdepth })
      .toBuffer();
    const photo = await decodePhoto(avif, "a");
    expect([photo.depth, photo.data[0], photo.data[767], photo.format]).toEqual([16, 65535, 0, "avif"]);
  }
});

test("frames and pages: the first one, and that is said", async () => {
  const frames = await sharp(
    [png(picture(8, 3)), png({ ...picture(8, 3), values: new Uint8Array(WIDTH * HEIGHT * 3) })],
    { join: { animated: true } },
  )
    .gif()
    .toBuffer();
  expect((await decodePhoto(frames, "a.gif")).notes).toEqual(["a.gif holds 2 frames: the first one is read"]);
});

test("a size that there is no room for is told with its bytes, before decoding", async () => {
  await expect(decodePhoto(png(picture(16, 3)), "a.png", { mostBytes: 300 })).rejects.toThrow(
    "image: a.png is 9x7: its pixels take 378 bytes where there is room for 300: make it smaller first",
  );
});

const NO_END = "a.jpg has no end mark (EOI): all its pixels are there, but what wrote it did not finish";

describe("JPEG without an end mark", () => {
  const noise = Uint8Array.from({ length: 64 * 48 * 3 }, (_, i) => (i * 7919 + (i * i) / 5) % 256);
  const jpeg = (progressive: boolean) =>
    sharp(noise, { raw: { width: 64, height: 48, channels: 3 } })
      .jpeg({ progressive })
      .toBuffer();

  test.each([false, true])("is read where all pixels are there (progressive: %s)", async (progressive) => {
    const whole = await jpeg(progressive);
    const photo = await decodePhoto(whole.subarray(0, -2), "a.jpg");
    expect(photo.data).toEqual((await decodePhoto(whole, "b.jpg")).data);
    // A picture of one scan may be decoded before its end is looked for.
    if (progressive) expect(photo.notes).toEqual([NO_END]);
  });

  test.each([0.3, 0.7, 0.95, 0.99])("is truncated where pixels are missing (%d of it is there)", async (share) => {
    const whole = await jpeg(false);
    await expect(decodePhoto(whole.subarray(0, Math.floor(whole.length * share)), "a.jpg")).rejects.toThrow(
      "image: a.jpg is truncated or damaged (the JPEG ends before its last pixel): get the file again",
    );
  });
});
