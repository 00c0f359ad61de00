import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Image, luma, psnr, psnrPyiqa, ssim, ssimPyiqa } from "../src/index.ts";
import { readPng } from "./png.ts";
import { waves } from "./waves.ts";

const a = waves(90, 0);
const b = waves(85, 0.05);
const sum = ({ data }: { data: Uint8Array }): number => data.reduce((total, value) => total + value, 0);

describe("the synthetic pair", () => {
  it("is the one that the numbers below belong to", () => {
    expect([sum(a), sum(b)]).toEqual([16_063_685, 16_063_801]);
    expect([...a.data.subarray(0, 3)]).toEqual([128, 220, 228]);
  });
});

describe("psnr", () => {
  it.each([
    ["rgb", 0, 37.642188571],
    ["y", 0, 40.658226713],
    ["y", 2, 40.6565421],
    ["y", 4, 40.656009905],
    ["rgb", 2, 37.640684206],
  ] as const)("of %s without a border of %d", (channels, cropBorder, expected) => {
    expect(psnr(a, b, { channels, cropBorder })).toBeCloseTo(expected, 6);
    expect(psnr(b, a, { channels, cropBorder })).toBe(psnr(a, b, { channels, cropBorder }));
  });

  it("looks at the luma unless told otherwise, and is infinite for equal images", () => {
    expect(psnr(a, b)).toBe(psnr(a, b, { channels: "y", cropBorder: 0 }));
    expect(psnr(a, a)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("ssim", () => {
  it.each([
    ["rgb", 0, 0.996637575],
    ["y", 0, 0.997016136],
    ["y", 2, 0.997018539],
    ["rgb", 4, 0.996637269],
  ] as const)("of %s without a border of %d", (channels, cropBorder, expected) => {
    expect(ssim(a, b, { channels, cropBorder })).toBeCloseTo(expected, 8);
  });

  it("is 1 for equal images", () => {
    expect(ssim(a, a, { channels: "rgb" })).toBe(1);
  });
});

describe("the forms of pyiqa", () => {
  it("agree with published values", () => {
    expect(psnrPyiqa(a, b)).toBeCloseTo(37.641936228, 6);
    expect(ssimPyiqa(a, b)).toBeCloseTo(0.996737251, 6);
  });

  it("end at 80 dB and 1 for equal images", () => {
    expect(psnrPyiqa(a, a)).toBeCloseTo(80, 10);
    expect(ssimPyiqa(a, a)).toBe(1);
  });

  it("do not count opposed structures", () => {
    const inverted: Image = { ...a, data: a.data.map((value) => 255 - value) };
    expect(ssim(inverted, a)).toBeLessThan(0);
    expect(ssimPyiqa(inverted, a)).toBeGreaterThanOrEqual(0);
  });
});

describe("luma", () => {
  it("is BT.601 in studio range", () => {
    expect(luma(255, 255, 255)).toBeCloseTo(235, 12);
    expect(luma(0, 0, 0)).toBe(16);
    expect(luma(128, 220, 228)).toBeCloseTo(182.09991, 4);
  });
});

describe("what cannot be compared", () => {
  const small: Image = { width: 12, height: 12, data: new Uint8Array(432) };

  it("is refused with the sizes", () => {
    expect(() => psnr(a, small)).toThrow("psnr: the image is 210 x 200, but its reference is 12 x 12");
    expect(() => psnr(small, small, { cropBorder: 6 })).toThrow("a border of 6 pixels leaves nothing of 12 x 12");
    expect(() => ssim(small, small, { cropBorder: 1 })).toThrow(
      "10 x 10 pixels are compared, but the window needs 11 x 11",
    );
    expect(() => psnr({ ...small, width: 13 }, { ...small, width: 13 })).toThrow("432 bytes are not 13 x 12");
  });
});

const published = new URL("../../../../shared/data/metrics_ref/", import.meta.url);

if (existsSync(published)) {
  const { values, tolerance, crop_border } = JSON.parse(readFileSync(new URL("expected.json", published), "utf8"));

  describe("published values of BasicSR", () => {
    it.each(Object.keys(values))("of %s", (name) => {
      const image = readPng(new URL(`bic/${name}.png`, published));
      const reference = readPng(new URL(`gt/${name}.png`, published));
      for (const channels of ["rgb", "y"] as const) {
        const options = { channels, cropBorder: crop_border };
        expect(Math.abs(psnr(image, reference, options) - values[name][`psnr_${channels}`])).toBeLessThan(tolerance);
        expect(Math.abs(ssim(image, reference, options) - values[name][`ssim_${channels}`])).toBeLessThan(tolerance);
      }
    });
  });
}
