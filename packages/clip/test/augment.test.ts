import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { augmentImage, augmentPixels, randomCrop, rotateImage } from "../src/index.ts";
import { grey, rowsOf, waves } from "./test-image.ts";

const STILL = { scale: [1, 1], ratio: [1, 1], horizontalFlip: 0, verticalFlip: 0, rotation: 0 } as const;

describe("randomCrop", () => {
  it("stays inside, within the share of the area and the ratio", () => {
    const rng = new Rng(3);
    for (let i = 0; i < 200; i++) {
      const { left, top, width, height } = randomCrop({ width: 320, height: 240 }, rng, [0.5, 0.6], [0.75, 4 / 3]);
      expect(Math.min(left, top)).toBeGreaterThanOrEqual(0);
      expect(left + width).toBeLessThanOrEqual(320);
      expect(top + height).toBeLessThanOrEqual(240);
      const share = (width * height) / (320 * 240);
      expect(share).toBeGreaterThan(0.49);
      expect(share).toBeLessThan(0.61);
    }
  });

  it("falls back to the middle when nothing fits", () => {
    const crop = randomCrop({ width: 400, height: 40 }, new Rng(1), [0.9, 1], [0.75, 4 / 3]);
    expect(crop).toEqual({ left: 173, top: 0, width: 53, height: 40 });
    const tall = randomCrop({ width: 30, height: 400 }, new Rng(1), [0.9, 1], [0.75, 4 / 3]);
    expect(tall).toEqual({ left: 0, top: 180, width: 30, height: 40 });
  });
});

describe("rotateImage", () => {
  const image = grey([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ]);

  it("turns counter-clockwise", () => {
    expect(rowsOf(rotateImage(image, 90))).toEqual([
      [3, 6, 9],
      [2, 5, 8],
      [1, 4, 7],
    ]);
  });

  it("fills the corners with black", () => {
    expect(rowsOf(rotateImage(waves(16, 16), 45))[0]![0]).toBe(0);
  });
});

describe("augmentImage", () => {
  const image = waves(60, 48);

  it("is the same for the same seed and another for another", () => {
    const run = (seed: number): Float32Array => augmentImage(image, new Rng(seed), { size: 32 });
    expect(run(5)).toEqual(run(5));
    expect(run(5)).not.toEqual(run(6));
    expect(run(5).length).toBe(3 * 32 * 32);
  });

  it("mirrors", () => {
    const square = waves(32, 32);
    const plain = rowsOf(augmentPixels(square, new Rng(1), { ...STILL, size: 32 }));
    expect(plain).toEqual(rowsOf(square));
    const leftRight = augmentPixels(square, new Rng(1), { ...STILL, size: 32, horizontalFlip: 1 });
    expect(rowsOf(leftRight)).toEqual(plain.map((row) => [...row].reverse()));
    const topBottom = augmentPixels(square, new Rng(1), { ...STILL, size: 32, verticalFlip: 1 });
    expect(rowsOf(topBottom)).toEqual([...plain].reverse());
  });

  it("removes colour", () => {
    const { data } = augmentPixels(waves(32, 32), new Rng(1), { ...STILL, size: 32, grayscale: 1 });
    for (let i = 0; i < data.length; i += 3) expect([data[i + 1], data[i + 2]]).toEqual([data[i], data[i]]);
  });

  it("changes colours within bounds, hue keeping the value", () => {
    const square = waves(32, 32);
    const options = { ...STILL, size: 32, colorJitter: { hue: 0.5, probability: 1 } };
    const shifted = augmentPixels(square, new Rng(2), options).data;
    expect(shifted).not.toEqual(square.data);
    for (let i = 0; i < shifted.length; i += 3) {
      const value = (data: ArrayLike<number>): number => Math.max(data[i]!, data[i + 1]!, data[i + 2]!);
      expect(value(shifted)).toBe(value(square.data));
    }
    const all = { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, probability: 1 };
    expect(augmentPixels(square, new Rng(2), { ...STILL, size: 32, colorJitter: all }).data).not.toEqual(square.data);
  });

  it("refuses a hue beyond half a turn", () => {
    const colorJitter = { hue: 0.7, probability: 1 };
    expect(() => augmentImage(image, new Rng(1), { colorJitter })).toThrow("color jitter: hue 0.7 is not in [0, 0.5]");
  });
});
