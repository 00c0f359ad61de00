import { Device, poisson, Rng, randn, scope } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addGaussianNoise,
  addPoissonNoise,
  blurImages,
  blurKernel,
  degradeSemantic,
  diffJpeg,
  drawSemantic,
  resize,
  SEMANTIC_OPTIONS,
  type SemanticDraw,
} from "../src/index.ts";
import { waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

const options = { ...SEMANTIC_OPTIONS, lqSize: 20, finalSincProb: 0.5 };
const clean: SemanticDraw = {
  seed: 1,
  augment: { horizontal: false, vertical: false, transpose: false },
  blurSigma: 0,
  kernels: [
    { type: "iso", size: 1, sigma: 0 },
    { type: "iso", size: 1, sigma: 0 },
  ],
  noise: { type: "gaussian", sigma: 0 },
  quality: 99,
  sinc: null,
  lqSize: 24,
  antialias: false,
};

async function degrade(
  draws: readonly SemanticDraw[],
  first = 0,
  chain: "reference" | "sequential" = "reference",
): Promise<number[]> {
  using out = scope(() => {
    const images = waveTensor(device, first + draws.length, 32, 24).slice([[first, first + draws.length]]);
    return degradeSemantic(images, draws, { chain });
  });
  expect(out.shape).toEqual([draws.length, 3, draws[0]!.lqSize, draws[0]!.lqSize]);
  return [...(await out.data())];
}

/** Largest difference of two lists. */
const distance = (a: readonly number[], b: readonly number[]): number =>
  a.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - b[i]!)),
    a.length === b.length ? 0 : Number.POSITIVE_INFINITY,
  );

describe("degradeSemantic", () => {
  // Both kinds of noise, with and without ringing.
  const draws = Array.from({ length: 8 }, (_, seed) => drawSemantic(seed, options));

  it("covers what the options can draw, in this test", () => {
    expect(new Set(draws.map((draw) => `${draw.noise.type} ${draw.sinc !== null}`)).size).toBe(4);
  });

  it("is decided by the draws, and does not depend on the batch", async () => {
    const batch = await degrade(draws);
    expect(await degrade(draws)).toEqual(batch);
    const size = batch.length / draws.length;
    for (const [i, draw] of draws.entries()) {
      expect(await degrade([JSON.parse(JSON.stringify(draw))], i)).toEqual(batch.slice(i * size, (i + 1) * size));
    }
  });

  it("is the chain of its parts", async () => {
    for (const draw of [
      draws.find(({ noise }) => noise.type === "gaussian")!,
      draws.find(({ noise }) => noise.type === "poisson")!,
    ]) {
      using expected = scope(() => {
        const rng = new Rng(draw.seed).fork("noise of stage 2");
        let x = blurImages(waveTensor(device, 1, 32, 24), [blurKernel(draw.kernels[1])]);
        x =
          draw.noise.type === "gaussian"
            ? addGaussianNoise(x, { sigma: draw.noise.sigma, draw: (shape) => randn(device, shape, rng) })
            : addPoissonNoise(x, { scale: draw.noise.scale, draw: (rate) => poisson(rate, rng) });
        x = diffJpeg(x, { quality: draw.quality });
        if (draw.sinc) x = blurImages(x, [blurKernel(draw.sinc)]);
        return resize(x, "bicubic", { size: [draw.lqSize, draw.lqSize] });
      });
      expect(distance(await degrade([draw]), [...(await expected.data())])).toBe(0);
    }
  });

  it("hardly changes an image when there is nothing to do but compress it well", async () => {
    const draw = { ...clean, lqSize: 32 };
    using out = scope(() => degradeSemantic(waveTensor(device, 1, 32, 32), [draw]));
    using image = waveTensor(device, 1, 32, 32);
    // Halved colour is lost; the luma of these waves hardly changes.
    const luma = (data: ArrayLike<number>): number[] =>
      Array.from({ length: 1024 }, (_, i) => 0.299 * data[i]! + 0.587 * data[1024 + i]! + 0.114 * data[2048 + i]!);
    expect(distance(luma(await out.data()), luma(await image.data()))).toBeLessThan(0.03);
  });

  it("blurs twice in the sequential chain, once in the reference's", async () => {
    const kernel = { type: "iso", size: 9, sigma: 1.2 } as const;
    const draw: SemanticDraw = { ...clean, kernels: [kernel, kernel], blurSigma: 1.2 };
    const once: SemanticDraw = { ...clean, kernels: [clean.kernels[0], kernel] };
    expect(await degrade([draw])).toEqual(await degrade([once], 0, "sequential"));
    expect(distance(await degrade([draw]), await degrade([draw], 0, "sequential"))).toBeGreaterThan(0.01);
  });

  it("flips and transposes", async () => {
    using out = scope(() => {
      const image = waveTensor(device, 2, 24, 24);
      return degradeSemantic(image, [
        { ...clean, augment: { horizontal: true, vertical: true, transpose: true } },
        clean,
      ]);
    });
    using straight = scope(() => degradeSemantic(waveTensor(device, 2, 24, 24), [clean, clean]));
    const [a, b] = [await out.data(), await straight.data()];
    // Zero padding makes JPEG's blocks lie differently after a flip, so this holds up to the compression.
    const errors = Array.from({ length: 576 }, (_, i) =>
      Math.abs(a[i]! - b[(23 - (i % 24)) * 24 + 23 - Math.floor(i / 24)]!),
    );
    expect(errors.reduce((sum, error) => sum + error, 0) / 576).toBeLessThan(0.05);
    expect([...a.slice(1728)]).toEqual([...b.slice(1728)]);
  });

  it("resizes with a filter against aliasing where it is asked to", async () => {
    const draw: SemanticDraw = { ...clean, lqSize: 6, antialias: true };
    using expected = scope(() =>
      resize(
        diffJpeg(waveTensor(device, 1, 32, 24), { quality: 99 }),
        "bicubic",
        { size: [6, 6] },
        { antialias: true },
      ),
    );
    expect(await degrade([draw])).toEqual([...(await expected.data())]);
    expect(distance(await degrade([draw]), await degrade([{ ...draw, antialias: false }]))).toBeGreaterThan(0.05);
  });

  it("gives back all memory", async () => {
    await degrade(draws);
    const before = device.memory().liveBuffers;
    await degrade(draws);
    // Fewer are no leak: while this waits, the collector may give back what another test left.
    expect(device.memory().liveBuffers).toBeLessThanOrEqual(before);
  });

  it("refuses what does not fit", () => {
    scope(() => {
      const images = device.zeros([2, 3, 32, 24]);
      expect(() => degradeSemantic(images, [clean])).toThrow("got 1 draws");
      expect(() => degradeSemantic(images, [clean, { ...clean, lqSize: 8 }])).toThrow("must share lqSize");
      expect(() => degradeSemantic(images, [clean, { ...clean, antialias: true }])).toThrow("and antialias");
      expect(() => degradeSemantic(device.zeros([1, 1, 32, 24]), [clean])).toThrow("images [1, 1, 32, 24]");
      const wide = { ...clean, kernels: [clean.kernels[0], { type: "iso", size: 19, sigma: 2.9 }] } as const;
      expect(() => degradeSemantic(device.zeros([1, 3, 9, 32]), [wide])).toThrow(
        "32 x 9 pixels are too small for a kernel of 19 pixels",
      );
      return null;
    });
  });
});
