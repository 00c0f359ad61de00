import { Device, poisson, Rng, randn, type Shape, scope, type Tensor } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addGaussianNoise, addPoissonNoise, poissonRate } from "../src/noise.ts";
import { waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

/** Mean and standard deviation. */
function moments(values: ArrayLike<number>): [number, number] {
  const list = Array.from(values);
  const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
  return [mean, Math.sqrt(list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length)];
}

const normals =
  (seed: number) =>
  (shape: Shape): Tensor =>
    randn(device, shape, new Rng(seed));

describe("addGaussianNoise", () => {
  it("has the standard deviation of each image", async () => {
    using out = scope(() => addGaussianNoise(device.full([2, 3, 64, 64], 0.5), { sigma: [5, 25], draw: normals(1) }));
    const data = await out.data();
    for (const [i, sigma] of [5, 25].entries()) {
      const [mean, deviation] = moments(data.slice(i * 12288, (i + 1) * 12288));
      // 12288 samples: the standard errors are sigma / 111 and sigma / 157.
      expect(Math.abs(mean - 0.5) * 255).toBeLessThan((4 * sigma) / 111);
      expect(Math.abs(deviation * 255 - sigma)).toBeLessThan((4 * sigma) / 157);
    }
  });

  it("clips unless told not to, and rounds when told to", async () => {
    using wild = scope(() =>
      addGaussianNoise(device.ones([1, 3, 16, 16]), { sigma: 30, draw: normals(2), clip: false }),
    );
    expect(Math.max(...(await wild.data()))).toBeGreaterThan(1);
    using clipped = scope(() => addGaussianNoise(device.ones([1, 3, 16, 16]), { sigma: 30, draw: normals(2) }));
    expect(Math.max(...(await clipped.data()))).toBe(1);
    using rounded = scope(() =>
      addGaussianNoise(device.full([1, 3, 16, 16], 0.5), { sigma: 30, draw: normals(2), rounds: true }),
    );
    for (const value of await rounded.data())
      expect(Math.abs(value * 255 - Math.round(value * 255))).toBeLessThan(1e-4);
    using both = scope(() =>
      addGaussianNoise(device.ones([1, 3, 16, 16]), { sigma: 30, draw: normals(2), clip: false, rounds: true }),
    );
    const levels = (await wild.data()).map((value) => Math.round(255 * value) / 255);
    expect(Math.max(...levels)).toBeGreaterThan(1);
    for (const [i, value] of (await both.data()).entries()) expect(value).toBeCloseTo(levels[i]!, 6);
  });

  it("is the same in all channels where it is grey, and only there", async () => {
    using out = scope(() =>
      addGaussianNoise(device.full([2, 3, 8, 8], 0.5), { sigma: 20, gray: [1, 0], draw: normals(3) }),
    );
    const data = await out.data();
    const channel = (image: number, c: number): number[] => [
      ...data.slice((image * 3 + c) * 64, (image * 3 + c + 1) * 64),
    ];
    expect(channel(0, 0)).toEqual(channel(0, 2));
    expect(channel(1, 0)).not.toEqual(channel(1, 2));
  });

  it("draws no grey field when no image has one", () => {
    const shapes: Shape[] = [];
    const draw = (shape: Shape): Tensor => {
      shapes.push(shape);
      return device.zeros(shape);
    };
    scope(() => {
      addGaussianNoise(device.zeros([2, 3, 4, 5]), { sigma: 1, gray: [0, 0], draw });
      addGaussianNoise(device.zeros([2, 3, 4, 5]), { sigma: 1, gray: [0, 1], draw });
      return null;
    });
    expect(shapes).toEqual([
      [2, 3, 4, 5],
      [2, 1, 4, 5],
      [2, 3, 4, 5],
    ]);
  });
});

describe("poissonRate", () => {
  it("counts the levels of each image and rounds the number up to a power of two", async () => {
    using waves = scope(() => poissonRate(waveTensor(device, 1, 32, 40)).vals);
    expect([...(await waves.data())]).toEqual([256]); // 253 distinct levels
    const counts = [1, 2, 3, 4, 5, 16, 17, 128, 129, 255, 256];
    const images = counts.flatMap((count) => Array.from({ length: 768 }, (_, i) => (i % count) / 255));
    using vals = scope(() => poissonRate(device.tensor(images, [counts.length, 3, 16, 16])).vals);
    expect([...(await vals.data())]).toEqual([1, 2, 4, 4, 8, 16, 32, 128, 256, 256, 256]);
  });
});

describe("addPoissonNoise", () => {
  it("has mean 0 and the variance of its scale", async () => {
    const rng = new Rng(4);
    using out = scope(() =>
      addPoissonNoise(device.full([2, 3, 64, 64], 0.5), {
        scale: [1, 2],
        clip: false,
        draw: (rate) => poisson(rate, rng),
      }),
    );
    const data = await out.data();
    // One level, so vals = 1: variance scale² · q/vals with q = 128/255 (127.5 rounds to even).
    for (const [i, scale] of [1, 2].entries()) {
      const deviation = scale * Math.sqrt(128 / 255);
      const found = moments(data.slice(i * 12288, (i + 1) * 12288));
      expect(Math.abs(found[0] - 0.5)).toBeLessThan((4 * deviation) / 111);
      expect(Math.abs(found[1] / deviation - 1)).toBeLessThan(0.05);
    }
  });

  it("takes the luma where it is grey", async () => {
    using out = scope(() =>
      addPoissonNoise(waveTensor(device, 1, 8, 8), {
        scale: 1,
        gray: [1],
        clip: false,
        draw: (rate) => device.zeros(rate.shape),
      }),
    );
    using image = waveTensor(device, 1, 8, 8);
    const [data, original] = [await out.data(), await image.data()];
    // No counts: the noise is −q of the luma, the same for all channels.
    for (let i = 0; i < 64; i++) {
      const [r, g, b] = [0, 1, 2].map((c) => original[c * 64 + i]!) as [number, number, number];
      const q = Math.round(255 * (0.2989 * r + 0.587 * g + 0.114 * b)) / 255;
      for (const c of [0, 1, 2]) expect(data[c * 64 + i]! - original[c * 64 + i]!).toBeCloseTo(-q, 5);
    }
  });
});
