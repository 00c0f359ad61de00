import { describe, expect, it } from "vitest";
import {
  drawSecondOrder,
  SECOND_ORDER_OPTIONS,
  type SecondOrderDraw,
  type SecondOrderOptions,
  smallestSide,
} from "../src/second-order-draw.ts";

const many = (change: Partial<SecondOrderOptions> = {}): SecondOrderDraw[] =>
  Array.from({ length: 2000 }, (_, seed) => drawSecondOrder(seed, 1, { ...SECOND_ORDER_OPTIONS, ...change })[0]!);
const share = (draws: readonly SecondOrderDraw[], test: (draw: SecondOrderDraw) => boolean): number =>
  draws.filter(test).length / draws.length;

describe("drawSecondOrder", () => {
  it("is decided by the seed and survives JSON", () => {
    const draws = drawSecondOrder(7, 3);
    expect(drawSecondOrder(7, 3)).toEqual(draws);
    expect(drawSecondOrder(8, 3)).not.toEqual(draws);
    expect(JSON.parse(JSON.stringify(draws))).toEqual(draws);
  });

  it("draws the same for an image whatever the size of its batch", () => {
    expect(drawSecondOrder(7, 16).slice(0, 4)).toEqual(drawSecondOrder(7, 4));
  });

  it("shares in a batch what decides the sizes on the way, and nothing else", () => {
    const draws = drawSecondOrder(1, 16);
    const different = (of: (draw: SecondOrderDraw) => unknown): number =>
      new Set(draws.map((draw) => JSON.stringify(of(draw)))).size;
    expect(different(({ stages, jpegFirst, mode }) => [stages[0].resize, stages[1].resize, jpegFirst, mode])).toBe(1);
    expect(different(({ stages }) => stages[0].noise)).toBe(16);
    expect(different(({ stages }) => stages[1].quality)).toBe(16);
    expect(different(({ stages }) => stages[0].blur)).toBe(16);
    expect(different(({ seed }) => seed)).toBe(16);
    expect(different(({ crop }) => crop)).toBe(16);
    expect(new Set(draws.map(({ stages }) => stages[0].noise.type)).size).toBe(2);
  });

  it("follows the distributions of the reference's file", () => {
    const draws = many();
    const factors = draws.map(({ stages }) => stages[0].resize.factor);
    const factors2 = draws.map(({ stages }) => stages[1].resize.factor);
    // Standard deviations of these shares are at most 0.011: 2000 draws of fixed seeds.
    expect(factors.filter((factor) => factor > 1).length / 2000).toBeCloseTo(0.2, 1);
    expect(factors.filter((factor) => factor === 1).length / 2000).toBeCloseTo(0.1, 1);
    expect(factors2.filter((factor) => factor > 1).length / 2000).toBeCloseTo(0.3, 1);
    expect(factors2.filter((factor) => factor < 1).length / 2000).toBeCloseTo(0.4, 1);
    for (const [list, low, high] of [
      [factors, 0.15, 1.5],
      [factors2, 0.3, 1.2],
    ] as const) {
      expect(Math.min(...list)).toBeGreaterThanOrEqual(low);
      expect(Math.min(...list)).toBeLessThan(low + 0.01);
      expect(Math.max(...list)).toBeLessThan(high);
      expect(Math.max(...list)).toBeGreaterThan(high - 0.01);
    }
    for (const mode of ["area", "bilinear", "bicubic"]) {
      expect(share(draws, ({ stages }) => stages[0].resize.mode === mode)).toBeCloseTo(1 / 3, 1);
      expect(share(draws, (draw) => draw.mode === mode)).toBeCloseTo(1 / 3, 1);
    }
    expect(share(draws, ({ stages }) => stages[0].blur === null)).toBe(0);
    expect(share(draws, ({ stages }) => stages[1].blur === null)).toBeCloseTo(0.2, 1);
    expect(share(draws, ({ stages }) => stages[0].blur?.type === "sinc")).toBeCloseTo(0.1, 1);
    expect(share(draws, ({ stages }) => stages[0].blur?.type === "iso")).toBeCloseTo(0.9 * 0.45, 1);
    expect(share(draws, ({ stages }) => stages[1].noise.type === "gaussian")).toBeCloseTo(0.5, 1);
    expect(share(draws, ({ stages }) => stages[1].noise.gray === true)).toBeCloseTo(0.4, 1);
    expect(share(draws, ({ jpegFirst }) => jpegFirst)).toBeCloseTo(0.5, 1);
    expect(share(draws, ({ sinc }) => sinc !== null)).toBeCloseTo(0.8, 1);
    expect(share(draws, ({ augment }) => augment.horizontal)).toBeCloseTo(0.5, 1);
    expect(share(draws, ({ augment }) => augment.vertical || augment.transpose)).toBe(0);
    const sizes = new Set(draws.map(({ stages }) => stages[0].blur!.size));
    expect(sizes).toEqual(new Set([7, 9, 11, 13, 15, 17, 19, 21]));
    for (const { stages } of draws) {
      for (const [i, { noise, quality }] of stages.entries()) {
        const [least, most] = noise.type === "gaussian" ? [1, [30, 25][i]!] : [0.05, [3, 2.5][i]!];
        const level = noise.type === "gaussian" ? noise.sigma : noise.scale;
        expect(level >= least && level < most && quality >= 30 && quality < 95).toBe(true);
      }
      const { blur } = stages[1];
      if (blur?.type === "aniso") expect(Math.max(blur.sigmaX, blur.sigmaY)).toBeLessThan(1.5);
    }
  });

  it("draws what the options ask for", () => {
    const draws = many({
      gtSize: null,
      useHflip: false,
      finalSincProb: 0,
      secondBlurProb: 0,
      grayNoiseProb2: 1,
      scale: 2,
    });
    expect(share(draws, ({ crop, sinc, scale }) => crop === null && sinc === null && scale === 2)).toBe(1);
    expect(share(draws, ({ augment }) => augment.horizontal)).toBe(0);
    expect(share(draws, ({ stages }) => stages[1].blur === null && stages[1].noise.gray === true)).toBe(1);
  });

  it.each<[Partial<SecondOrderOptions>, string]>([
    [{ scale: 0 }, "scale 0 must be a whole number of at least 1"],
    [{ kernelProb2: [1] }, "kernelProb2 [1] must be 6 shares of 1"],
    [{ resizeProb: [0.5, 0.5] }, "resizeProb [0.5, 0.5] must be 3 shares of 1"],
    [{ resizeProb2: [1.5, -0.5, 0] }, "resizeProb2 [1.5, -0.5, 0] must be 3 shares of 1"],
    [{ resizeRange: [0, 1.5] }, "resizeRange [0, 1.5] must be above 0, on both sides of 1"],
    [{ resizeRange2: [1.1, 1.2] }, "resizeRange2 [1.1, 1.2] must be above 0, on both sides of 1"],
    [{ blurSigma2: [2, 1] }, "blurSigma2 [2, 1] must be rising and not below 0"],
    [{ blurKernelSize: 5 }, "blurKernelSize 5 must be odd and at least 7"],
    [{ noiseRange2: [Number.NaN, 1] }, "noiseRange2 [NaN, 1] must be rising"],
    [{ jpegRange2: [0, 95] }, "jpegRange2 [0, 95] must be rising, above 0 and not above 99"],
    [{ grayNoiseProb: -1 }, "grayNoiseProb -1 must be between 0 and 1"],
    [{ gaussianNoiseProb2: 2 }, "gaussianNoiseProb2 2 must be between 0 and 1"],
    [{ secondBlurProb: 2 }, "secondBlurProb 2 must be between 0 and 1"],
    [{ gtSize: 255 }, "gtSize 255 must be a multiple of the scale 4"],
    [{ queueSize: 0 }, "queueSize 0 must be a whole number of at least 1"],
  ])("refuses %j", (change, message) => {
    expect(() => drawSecondOrder(1, 1, { ...SECOND_ORDER_OPTIONS, ...change })).toThrow(`drawSecondOrder: ${message}`);
  });
});

describe("smallestSide", () => {
  it("leaves room for every kernel at every size on the way", () => {
    const whole = { ...SECOND_ORDER_OPTIONS, gtSize: null };
    expect(smallestSide()).toBe(256);
    expect(smallestSide(whole)).toBe(76); // ⌊76 · 0.15⌋ = 11, and 74 would be cut to 72
    expect(smallestSide({ ...whole, scale: 2 })).toBe(74);
    expect(smallestSide({ ...whole, resizeRange: [0.5, 1] })).toBe(44); // 11 · 4
    expect(smallestSide({ ...whole, resizeRange: [0.5, 1], scale: 2 })).toBe(26); // half of 51
    expect(smallestSide({ ...whole, resizeRange2: [0.01, 1] })).toBe(400); // ⌊400/4 · 0.01⌋ = 1
  });
});
