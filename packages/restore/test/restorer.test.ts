import { DAT, DAT_LIGHT_X4 } from "@deplsr/dat";
import { add, conv2d, Device, mul, Rng } from "@deplsr/tensor";
import { afterAll, describe, expect, test } from "vitest";
import type { RasterImage } from "../src/image.ts";
import { enlarging } from "../src/network.ts";
import { type RestoreOptions, Restorer } from "../src/restorer.ts";
import { apart, flat, nearest, picture, smoothing } from "./pictures.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const means = ({ data }: RasterImage): number[] =>
  [0, 1, 2].map((c) => [...data].reduce((sum, value, i) => sum + (i % 3 === c ? value : 0), 0) / (data.length / 3));

describe("tiles", () => {
  test.each([1, 2, 3])(
    "a network that sees two pixels far makes the same of tiles as of the whole, at x%i",
    async (scale) => {
      const restorer = new Restorer(device, { network: smoothing(scale) });
      for (const [width, height] of [
        [70, 45],
        [33, 100],
        [17, 16],
        [1, 1],
        [130, 3],
      ] as const) {
        const image = picture(width, height);
        const whole = await restorer.restore(image, { tile: 512, colour: "free" });
        for (const tile of [16, 32, 48]) {
          const blended = await restorer.restore(image, { tile, colour: "free", overlap: 8 });
          expect(apart(blended, whole)).toBeLessThanOrEqual(1); // sums in another order
        }
      }
    },
  );

  test("the reference's tiles are cut where the next begins, and mirrored at the lower and right edge", async () => {
    const restorer = new Restorer(device, { network: smoothing(2) });
    const image = picture(70, 45);
    const whole = await restorer.restore(image, { tile: 512, colour: "free" });
    const cut = await restorer.restore(image, { tile: 24, colour: "free", blend: "reference", overlap: 8 });
    // 45 rows are two tiles of 23: a row is mirrored, where the whole image has zeros around it.
    const inner = (i: number): boolean => Math.floor(i / 3 / 140) < 2 * 43 && Math.floor(i / 3) % 140 < 2 * 68;
    for (const [i, value] of whole.data.entries())
      if (inner(i)) expect(Math.abs(value - cut.data[i]!)).toBeLessThanOrEqual(1);
    expect(apart(cut, whole)).toBeGreaterThan(5);
  });

  test("progress counts tiles, and an abort ends the work before the next one and gives everything back", async () => {
    const restorer = new Restorer(device, { network: smoothing(2) });
    const told: string[] = [];
    const options = { tile: 32, overlap: 8 };
    await restorer.restore(picture(70, 45), {
      ...options,
      onProgress: (done, total) => void told.push(`${done}/${total}`),
    });
    expect(told).toEqual(["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]);
    const before = device.memory().liveBytes;
    const stop = new AbortController();
    const seen: number[] = [];
    const work = restorer.restore(picture(70, 45), {
      ...options,
      signal: stop.signal,
      onProgress: (done) => {
        seen.push(done);
        if (done === 2) stop.abort(new Error("enough"));
      },
    });
    await expect(work).rejects.toThrow("enough");
    expect(seen).toEqual([1, 2]);
    expect(device.memory().liveBytes).toBe(before);
  });

  test("tiles that fit into memory are found by measuring, and smaller where there is less", async () => {
    const module = new DAT({ ...DAT_LIGHT_X4, depth: [2], upscale: 2 }, { device, rng: new Rng(1) });
    const restorer = new Restorer(device, { network: enlarging(module) });
    const [little, more] = [await restorer.tileWithin(2 ** 24), await restorer.tileWithin(2 ** 27)];
    expect(little).toBeGreaterThanOrEqual(64);
    expect(more).toBeGreaterThan(little);
    expect(more).toBeLessThanOrEqual(512);
  });
});

describe("pixels", () => {
  test.each([8, 16] as const)("of %i bits pass a network that changes nothing untouched", async (depth) => {
    const image = picture(41, 23, depth);
    const result = await new Restorer(device, { network: nearest(2) }).restore(image, { tile: 16, overlap: 4 });
    const expected = image.data.map((_, i) => i);
    expect(result.data.length).toBe(expected.length * 4);
    for (let y = 0; y < 46; y++) {
      for (let x = 0; x < 82; x++) {
        const from = ((y >> 1) * 41 + (x >> 1)) * 3;
        expect([...result.data.slice((y * 82 + x) * 3, (y * 82 + x) * 3 + 3)]).toEqual([
          ...image.data.slice(from, from + 3),
        ]);
      }
    }
  });

  test("of one depth become another", async () => {
    const restorer = new Restorer(device, { network: nearest(2) });
    const deep = await restorer.restore(flat(4, 4, [10, 100, 200]), { depth: 16 });
    expect([...deep.data.slice(0, 3)]).toEqual([2570, 25700, 51400]);
    const shallow = await restorer.restore(
      { width: 1, height: 1, data: Uint16Array.of(2570, 25828, 51401) },
      { depth: 8 },
    );
    expect([...shallow.data.slice(0, 3)]).toEqual([10, 100, 200]); // 25828 / 257 = 100.498
  });

  test("of a grey image stay grey", async () => {
    const tinted = nearest(2, (x) => add(x, device.tensor([0.1, 0, -0.2], [1, 3, 1, 1])));
    const image = { ...flat(20, 20, [90, 90, 90]), grey: true };
    const { data } = await new Restorer(device, { network: tinted }).restore(image, { colour: "free" });
    const luma = Math.round(255 * (90 / 255 + 0.299 * 0.1 - 0.114 * 0.2));
    expect(new Set(data)).toEqual(new Set([luma]));
  });

  test("a network that makes no numbers is named with the pixel", async () => {
    const broken = nearest(2, (x) => mul(x, Number.NaN));
    await expect(new Restorer(device, { network: broken }).restore(picture(4, 4))).rejects.toThrow(
      /^restore: the network makes pixel 0, 0 NaN: its weights are damaged$/,
    );
  });
});

describe("colour", () => {
  // As brown as a network may become that has seen sepia pictures only: 18 levels off on average.
  const brown = nearest(2, (x) => add(mul(x, 0.86), device.tensor([0.085, 0.014, -0.042], [1, 3, 1, 1])));
  const restorer = new Restorer(device, { network: brown });

  /** Patches of 60 pixels, so that none begins with a cell. */
  function chart(): { image: RasterImage; patches: number[][] } {
    const colours = Array.from({ length: 12 }, (_, i) => [(i * 83) % 256, (i * 151 + 40) % 256, (i * 47 + 90) % 256]);
    const data = new Uint8Array(240 * 180 * 3);
    for (let i = 0; i < data.length; i++) {
      const [c, x, y] = [i % 3, Math.floor(i / 3) % 240, Math.floor(i / 720)];
      data[i] = colours[Math.floor(y / 60) * 4 + Math.floor(x / 60)]![c]!;
    }
    return { image: { width: 240, height: 180, data }, patches: colours };
  }

  test("of a flat surface is what it was, also right beside another, however far the network is off", async () => {
    // Bent, not only shifted: what a surface becomes is measured at its own colour.
    const bent = nearest(2, (x) => mul(x, mul(x, 0.9)));
    const image = flat(64, 64, [10, 128, 240]);
    const other = [200, 60, 40];
    for (let i = 0; i < image.data.length; i++) if (Math.floor(i / 3) % 64 >= 30) image.data[i] = other[i % 3]!;
    const { data } = await new Restorer(device, { network: bent }).restore(image);
    for (const [x, colour] of [
      [56, [10, 128, 240]],
      [64, other],
    ] as const)
      for (let c = 0; c < 3; c++) expect(Math.abs(data[(64 * 128 + x) * 3 + c]! - colour[c]!)).toBeLessThanOrEqual(3);
  });

  test("takes nine small runs of a network that keeps colours, 125 of another one, once for all images", async () => {
    for (const [change, expected] of [
      [1, 9],
      [0.9, 125],
    ] as const) {
      let runs = 0;
      const network = nearest(2, (x) => {
        runs += 1;
        return mul(x, change);
      });
      const restorer = new Restorer(device, { network });
      for (const images of [1, 2]) {
        await restorer.restore(picture(20, 20), { tile: 64 });
        expect(runs).toBe(expected + images);
      }
    }
  });

  test.each([64, 512])("is held on a chart to 2 levels a patch, in tiles of %i", async (tile) => {
    const { image, patches } = chart();
    const kept = await restorer.restore(image, { tile });
    for (const [i, colour] of patches.entries()) {
      const [left, top] = [(i % 4) * 120, Math.floor(i / 4) * 120];
      const sums = [0, 0, 0];
      for (let y = top; y < top + 120; y++)
        for (let x = left; x < left + 120; x++)
          for (let c = 0; c < 3; c++) sums[c]! += kept.data[(y * 480 + x) * 3 + c]!;
      for (let c = 0; c < 3; c++) expect(Math.abs(sums[c]! / 14400 - colour[c]!)).toBeLessThanOrEqual(2);
    }
  });

  test("of a whole picture keeps its mean, and is free where that is asked for", async () => {
    const image = picture(100, 70);
    const [kept, free] = [await restorer.restore(image), await restorer.restore(image, { colour: "free" })];
    const [before, after, shifted] = [means(image), means(kept), means(free)];
    for (let c = 0; c < 3; c++) expect(Math.abs(after[c]! - before[c]!)).toBeLessThan(0.5);
    for (const [c, shift] of [0.085, 0.014, -0.042].entries())
      expect(shifted[c]).toBeCloseTo(0.86 * before[c]! + 255 * shift, 0);
  });

  test("leaves detail to the network", async () => {
    // What is finer than a cell: stripes, of which sharpening makes the contrast three times as high.
    const stripes = {
      width: 64,
      height: 64,
      data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (Math.floor(i / 3) % 2 ? 140 : 100)),
    };
    const sharper = nearest(2, (x) => {
      const weights = Float32Array.from({ length: 27 }, (_, i) => [0, 0, 0, -0.5, 2, -0.5, 0, 0, 0][i % 9]!);
      return conv2d(x, device.tensor(weights, [3, 1, 3, 3]), { padding: 1, groups: 3 });
    });
    const { data } = await new Restorer(device, { network: sharper }).restore(stripes);
    const at = (x: number): number => data[(64 * 128 + x) * 3]!;
    expect([at(64), at(66)]).toEqual([60, 180]);
  });
});

describe("transparency", () => {
  /** A red disc of half the width in front of nothing, whose colour is black. */
  function disc(side: number): RasterImage & { alpha: Uint8Array } {
    const alpha = Uint8Array.from({ length: side * side }, (_, i) => {
      const r = Math.hypot((i % side) - side / 2 + 0.5, Math.floor(i / side) - side / 2 + 0.5);
      return Math.round(255 * Math.min(1, Math.max(0, side / 4 - r + 0.5)));
    });
    const data = Uint8Array.from({ length: side * side * 3 }, (_, i) =>
      alpha[Math.floor(i / 3)] && i % 3 === 0 ? 200 : 0,
    );
    return { width: side, height: side, data, alpha };
  }

  test("is enlarged on its own, and edges take no colour from what is not seen", async () => {
    const restorer = new Restorer(device, { network: smoothing(2) });
    const { data, alpha, width } = await restorer.restore(disc(48), { colour: "free", tile: 32, overlap: 8 });
    const seen = [...alpha!.entries()].filter(([, a]) => a > 0);
    const middle = seen.filter(([i]) => Math.hypot((i % width) - 47.5, Math.floor(i / width) - 47.5) < 10);
    for (const [, a] of middle) expect(a).toBe(255);
    for (const [i] of seen) {
      // Black would be drawn in from two pixels away: zero padding of the network aside, red stays as red as it was.
      if (alpha![i]! > 0) expect(data[i * 3]!).toBeGreaterThan(190);
    }
    expect(alpha![0]).toBe(0);
  });

  test("of 16 bits and of a size that no network makes", async () => {
    const alpha = Uint16Array.from({ length: 12 }, (_, i) => i * 5000);
    const image = { width: 4, height: 3, data: new Uint16Array(36).fill(30000), alpha };
    const result = await new Restorer(device, { network: nearest(2) }).restore(image, { width: 10 });
    expect([result.width, result.height, result.alpha!.length]).toEqual([10, 8, 80]);
    expect(Math.max(...result.alpha!)).toBeLessThan(60000);
  });

  test("opaque stays opaque", async () => {
    const image = { ...picture(9, 9), alpha: new Uint8Array(81).fill(255) };
    const { alpha } = await new Restorer(device, { network: nearest(2) }).restore(image);
    expect(new Set(alpha)).toEqual(new Set([255]));
  });
});

describe("what is asked for wrongly", () => {
  const restorer = new Restorer(device, { network: nearest(2) });
  const image = picture(4, 4);
  const wrong: [string, RasterImage, RestoreOptions, string][] = [
    ["tile", image, { tile: 0 }, 'tile 0 must be a whole number above 0, or "auto"'],
    ["overlap", image, { overlap: -1 }, "overlap -1 must be a whole number, 0 or above"],
    ["strength", image, { strength: 1.5 }, "strength 1.5 must lie in 0 … 1"],
    ["strength", image, { strength: Number.NaN }, "strength NaN must lie in 0 … 1"],
    ["scale", image, { scale: 0 }, "scale 0 must be a number above 0"],
    ["scale", image, { scale: 2, width: 9 }, "scale beside width or height: give either"],
    ["width", image, { width: 2.5 }, "width 2.5 must be a whole number above 0"],
    ["blend", image, { blend: "soft" as "cosine" }, 'blend soft must be "cosine" or "reference"'],
    ["colour", image, { colour: "drop" as "keep" }, 'colour drop must be "keep" or "free"'],
    ["depth", image, { depth: 12 as 8 }, "depth 12 must be 8 or 16"],
    ["name", image, { tiles: 3 } as RestoreOptions, "unknown option tiles: expected one of scale,"],
    ["data", { ...image, width: 5 }, {}, "data of the image has 48 values: an RGB image of 5x4 has 60"],
    ["width", { ...image, width: 0 }, {}, "width 0 of the image must be a whole number above 0"],
    ["alpha", { ...image, alpha: new Uint8Array(3) }, {}, "alpha of the image has 3 values: expected 16"],
    [
      "alpha",
      { ...image, alpha: new Uint16Array(16) },
      {},
      "data and alpha of the image must have the same number of bits",
    ],
  ];
  test.each(wrong)("%s", (_, picture, options, message) => {
    expect(() => restorer.stream(picture, options)).toThrow(`restore: ${message}`);
  });
});
