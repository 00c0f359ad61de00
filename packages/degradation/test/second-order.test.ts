import { clamp, Device, narrow, poisson, Rng, randn, scope, type Tensor } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addGaussianNoise,
  addPoissonNoise,
  blurImages,
  blurKernel,
  degradeSecondOrder,
  diffJpeg,
  drawSecondOrder,
  imresize,
  resize,
  roundTo255Levels,
  SECOND_ORDER_OPTIONS,
  type SecondOrderDraw,
  smallestSide,
  usmSharpen,
} from "../src/index.ts";
import { waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

const whole = { ...SECOND_ORDER_OPTIONS, scale: 2, gtSize: null, useHflip: false };
/** Draws of different batches, so that they share nothing. */
const draws = Array.from({ length: 6 }, (_, seed) => drawSecondOrder(seed, 1, { ...whole, useHflip: true })[0]!);

/** Degrades wave images, the first of them the one of index `first`. */
async function degrade(
  some: readonly SecondOrderDraw[],
  { first = 0, h = 84, w = 80 } = {},
): Promise<{ lq: number[]; gt: number[] }> {
  const { lq, gt } = scope(() =>
    degradeSecondOrder(narrow(waveTensor(device, first + some.length, h, w), 0, first, some.length), some),
  );
  const numbers = { lq: [...(await lq.data())], gt: [...(await gt.data())] };
  lq.dispose();
  gt.dispose();
  return numbers;
}

describe("degradeSecondOrder", () => {
  it("covers what the options can draw, in these tests", () => {
    const seen = draws.flatMap(({ stages, jpegFirst, sinc }) => [
      ...stages.map(({ noise }) => `${noise.type} ${noise.gray}`),
      `jpeg first: ${jpegFirst}`,
      `second blur: ${stages[1].blur !== null}`,
      `sinc: ${sinc !== null}`,
    ]);
    expect(new Set(seen).size).toBe(10);
  });

  it("gives the same bytes from a stored draw, alone or in a batch", async () => {
    const batch = await degrade(draws);
    const size = batch.lq.length / draws.length;
    for (const [i, draw] of draws.entries()) {
      const again = await degrade([JSON.parse(JSON.stringify(draw))], { first: i });
      expect(again.lq).toEqual(batch.lq.slice(i * size, (i + 1) * size));
    }
    const together = drawSecondOrder(9, 4, whole);
    const four = await degrade(together);
    expect((await degrade(together.slice(2, 3), { first: 2 })).lq).toEqual(four.lq.slice(2 * size, 3 * size));
  });

  it("is the chain of its parts, in either order at the end", async () => {
    for (const jpegFirst of [false, true]) {
      const seeds = Array.from({ length: 40 }, (_, seed) => drawSecondOrder(seed, 1, whole)[0]!);
      const draw = seeds.find((one) => one.jpegFirst === jpegFirst && one.sinc && one.stages[1].blur)!;
      using expected = scope(() => {
        const [first, second] = draw.stages;
        const noise = (x: Tensor, index: 0 | 1): Tensor => {
          const level = draw.stages[index].noise;
          const rng = new Rng(draw.seed).fork(`noise of stage ${index + 1}`);
          const stream = (kind: string): Rng => (kind === "gray" ? rng.fork("gray") : rng);
          const gray = [level.gray ? 1 : 0];
          return level.type === "gaussian"
            ? addGaussianNoise(x, {
                sigma: level.sigma,
                gray,
                draw: (shape, kind) => randn(device, shape, stream(kind)),
              })
            : addPoissonNoise(x, { scale: level.scale, gray, draw: (rate, kind) => poisson(rate, stream(kind)) });
        };
        let x = blurImages(usmSharpen(waveTensor(device, 1, 84, 80)), [blurKernel(first.blur!)]);
        x = noise(resize(x, first.resize.mode, { scaleFactor: first.resize.factor }), 0);
        x = blurImages(diffJpeg(x, { quality: first.quality }), [blurKernel(second.blur!)]);
        const { factor, mode } = second.resize;
        x = noise(resize(x, mode, { size: [Math.floor(42 * factor), Math.floor(40 * factor)] }), 1);
        const compress = (y: Tensor): Tensor => diffJpeg(clamp(y, { min: 0, max: 1 }), { quality: second.quality });
        if (jpegFirst) x = compress(x);
        x = blurImages(resize(x, draw.mode, { size: [42, 40] }), [blurKernel(draw.sinc!)]);
        return roundTo255Levels(jpegFirst ? x : compress(x));
      });
      expect((await degrade([draw])).lq).toEqual([...(await expected.data())]);
    }
  });

  it("gives 256 levels, and sides that fit the scale", async () => {
    const { lq, gt } = scope(() =>
      degradeSecondOrder(waveTensor(device, 1, 87, 91), drawSecondOrder(3, 1, { ...whole, scale: 4 })),
    );
    expect([lq.shape, gt.shape]).toEqual([
      [1, 3, 21, 22],
      [1, 3, 84, 88],
    ]);
    for (const value of await lq.data()) expect(Math.abs(value * 255 - Math.round(value * 255))).toBeLessThan(1e-4);
    const image = await scope(() => narrow(narrow(waveTensor(device, 1, 87, 91), 2, 0, 84), 3, 0, 88)).data();
    expect([...(await gt.data())]).toEqual([...image]);
  });

  it("turns and cuts both images of a pair alike", async () => {
    // Hardly any degradation, so that the small image still shows where it comes from.
    const mild: SecondOrderDraw = {
      ...draws[0]!,
      augment: { horizontal: true, vertical: false, transpose: true },
      stages: [0, 1].map(() => ({
        blur: null,
        resize: { factor: 1, mode: "bicubic" },
        noise: { type: "gaussian", sigma: 0 },
        quality: 98,
      })) as unknown as SecondOrderDraw["stages"],
      sinc: null,
      crop: { size: 32, top: 0.99, left: 0.3 },
    };
    const plain = { ...mild, augment: { horizontal: false, vertical: false, transpose: false } };
    const other = { ...plain, crop: { size: 32, top: 0, left: 0 } };
    const { lq, gt } = scope(() => degradeSecondOrder(waveTensor(device, 3, 80, 80), [mild, plain, other]));
    expect([lq.shape, gt.shape]).toEqual([
      [3, 3, 16, 16],
      [3, 3, 32, 32],
    ]);
    using small = scope(() => imresize(gt, 1 / 2));
    const [a, b] = [[...(await lq.data())], await small.data()];
    /** Mean difference of the low-quality images from those of other pairs. */
    const error = (shift: number): number =>
      a.reduce((total, value, i) => total + Math.abs(value - b[(i + shift * 768) % a.length]!) / a.length, 0);
    expect(error(0)).toBeLessThan(0.1);
    expect(Math.min(error(1), error(2))).toBeGreaterThan(0.2);
    const image = await scope(() => waveTensor(device, 3, 80, 80)).data();
    const cut = await gt.data();
    const at = (n: number, i: number, j: number): number => image[(n * 3 * 80 + i) * 80 + j]!;
    // top ⌊0.99·25⌋·2 = 48, left ⌊0.3·25⌋·2 = 14; the first image was flipped, then transposed.
    expect(cut[1 * 3 * 1024 + 5 * 32 + 3]).toBe(at(1, 48 + 5, 14 + 3));
    expect(cut[5 * 32 + 3]).toBe(at(0, 14 + 3, 79 - (48 + 5)));
    expect(cut[2 * 3 * 1024 + 5 * 32 + 3]).toBe(at(2, 5, 3));
  });

  it("works on the smallest image that every draw fits, and not on a smaller one", async () => {
    const options = { ...whole, scale: 4 };
    const kernel = { type: "iso", size: 21, sigma: 2 } as const;
    const draw = { ...drawSecondOrder(0, 1, options)[0]!, sinc: kernel };
    const worst = (factor: number): SecondOrderDraw => ({
      ...draw,
      stages: [
        { ...draw.stages[0], blur: kernel, resize: { factor, mode: "area" } },
        { ...draw.stages[1], blur: kernel, resize: { factor: 0.3, mode: "area" } },
      ],
    });
    const side = smallestSide(options);
    expect((await degrade([worst(0.15)], { h: side, w: side + 5 })).lq.every(Number.isFinite)).toBe(true);
    expect(() => scope(() => degradeSecondOrder(waveTensor(device, 1, side - 1, side), [worst(0.15)]).lq)).toThrow(
      "too small for a kernel of 21 pixels",
    );
  });

  it("gives back all memory", async () => {
    await degrade(draws);
    const before = device.memory().liveBuffers;
    await degrade(draws);
    expect(device.memory().liveBuffers).toBeLessThanOrEqual(before);
  });

  it("refuses what does not fit", () => {
    scope(() => {
      const images = device.zeros([2, 3, 80, 80]);
      const [draw] = draws as [SecondOrderDraw];
      expect(() => degradeSecondOrder(images, [draw])).toThrow("got 1 draws");
      expect(() => degradeSecondOrder(images, [draw, { ...draw, scale: 4 }])).toThrow("must share scale");
      const crop = { size: 96, top: 0, left: 0 };
      expect(() => degradeSecondOrder(images, [draw, { ...draw, crop }])).toThrow("the size of crop");
      expect(() => degradeSecondOrder(narrow(images, 0, 0, 1), [{ ...draw, crop }])).toThrow(
        "no square of 96 pixels can be cut out of 80 x 80 pixels",
      );
      return null;
    });
  });
});
