import { describe, expect, it } from "vitest";
import {
  CLIP_MEAN,
  CLIP_STD,
  centerCropOrPad,
  normalizeImage,
  type PixelImage,
  preprocessImage,
  resizeBicubic,
  resizeToFit,
} from "../src/index.ts";
import { grey, rowsOf, waves } from "./test-image.ts";

function tiled(image: PixelImage, times: number): PixelImage {
  const width = image.width * times;
  const height = image.height * times;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = ((y % image.height) * image.width + (x % image.width)) * 3;
      data.set(image.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, channels: 3, data };
}

function summary(planes: Float32Array, row: number): { sum: number; pixel: number[] } {
  const sum = planes.reduce((total, value) => total + value, 0);
  return { sum, pixel: [0, 1, 2].map((c) => planes[(c * 224 + row) * 224 + row]!) };
}

describe("preprocessImage", () => {
  const image = waves(210, 200);

  it("agrees with the reference on a wide image", () => {
    expect(Array.from(image.data).reduce((total, value) => total + value, 0)).toBe(16_063_685);
    const resized = resizeToFit(image, 224);
    expect([resized.width, resized.height]).toEqual([235, 224]);
    const planes = preprocessImage(image);
    const corner = summary(planes, 0);
    expect(Math.abs(corner.sum - 28370.068)).toBeLessThan(0.1);
    for (const [c, value] of [1.273407, 0.769208, -0.214634].entries()) expect(corner.pixel[c]).toBeCloseTo(value, 5);
    const middle = summary(planes, 112);
    for (const [c, value] of [-1.427302, -1.046732, 0.56747].entries()) expect(middle.pixel[c]).toBeCloseTo(value, 5);
  });

  it("agrees with the reference when shrinking", () => {
    const { sum, pixel } = summary(preprocessImage(tiled(image, 3)), 112);
    expect(Math.abs(sum - 28231.241)).toBeLessThan(0.1);
    for (const [c, value] of [-1.208306, 0.093858, 1.505994].entries()) expect(pixel[c]).toBeCloseTo(value, 4);
  });

  it("takes grey images and images of one pixel", () => {
    const planes = preprocessImage(grey([[255]]), { size: 8, mean: [0, 0, 0], std: [1, 1, 1] });
    expect(planes).toEqual(new Float32Array(3 * 8 * 8).fill(1));
  });

  it("refuses data that does not fit the size", () => {
    const broken: PixelImage = { width: 4, height: 4, channels: 3, data: new Uint8Array(47) };
    expect(() => preprocessImage(broken)).toThrow("4x4x3 needs 48 values, got 47");
  });
});

describe("resizeToFit", () => {
  it("leaves an image alone whose short side fits", () => {
    const image = waves(30, 20);
    expect(resizeToFit(image, 20)).toBe(image);
  });

  it.each([
    ["shortest", 64, 96],
    ["longest", 43, 64],
    ["squash", 64, 64],
  ] as const)("mode %s makes 40x60 into %ix%i", (mode, width, height) => {
    const resized = resizeToFit(waves(40, 60), 64, mode);
    expect([resized.width, resized.height]).toEqual([width, height]);
  });
});

describe("resizeBicubic", () => {
  it("keeps constant images constant and does not overshoot 8 bits", () => {
    expect(
      rowsOf(
        resizeBicubic(
          grey([
            [7, 7],
            [7, 7],
          ]),
          5,
          3,
        ),
      ),
    ).toEqual(Array.from({ length: 3 }, () => [7, 7, 7, 7, 7]));
    const edge = resizeBicubic(grey([[0, 0, 255, 255]]), 16, 1);
    expect(edge.data[0]).toBe(0);
    expect(edge.data[15]).toBe(255);
  });

  it("averages when shrinking", () => {
    const checkers = grey(
      Array.from({ length: 32 }, (_, y) => Array.from({ length: 32 }, (_, x) => ((x + y) % 2) * 200)),
    );
    for (const value of resizeBicubic(checkers, 4, 4).data) expect(Math.abs(value - 100)).toBeLessThanOrEqual(3);
  });

  it("refuses an empty result", () => {
    expect(() => resizeBicubic(grey([[1]]), 0, 4)).toThrow("resizeBicubic: cannot make an image of 0x4 pixels");
  });
});

describe("centerCropOrPad", () => {
  const image = grey([
    [0, 1, 2, 3, 4, 5, 6],
    [10, 11, 12, 13, 14, 15, 16],
  ]);

  it("cuts at the even one of two middles and pads the smaller part first", () => {
    expect(rowsOf(centerCropOrPad(image, 4, 9))).toEqual([
      [9, 9, 9, 9],
      [2, 3, 4, 5],
      [12, 13, 14, 15],
      [9, 9, 9, 9],
    ]);
    expect(rowsOf(centerCropOrPad(image, 5, 9))[1]).toEqual([1, 2, 3, 4, 5]);
    expect(rowsOf(centerCropOrPad(image, 5, 9))[3]).toEqual([9, 9, 9, 9, 9]);
  });
});

describe("normalizeImage", () => {
  it("takes CLIP's mean and deviation", () => {
    expect(CLIP_MEAN).toEqual([0.48145466, 0.4578275, 0.40821073]);
    expect(CLIP_STD).toEqual([0.26862954, 0.26130258, 0.27577711]);
  });

  it("puts the channels into planes", () => {
    const image: PixelImage = { width: 2, height: 1, channels: 3, data: Uint8Array.of(0, 51, 102, 153, 204, 255) };
    const planes = normalizeImage(image, [0, 0.2, 0.4], [1, 2, 0.5]);
    const expected = [0, 0.6, 0, 0.3, 0, 1.2];
    for (const [i, value] of expected.entries()) expect(planes[i]).toBeCloseTo(value, 6);
  });
});
