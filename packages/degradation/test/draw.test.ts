import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { blurKernel } from "../src/blur-kernel.ts";
import {
  drawBlurKernel,
  drawSemantic,
  drawSinc,
  kernelSize,
  levelsOf,
  SEMANTIC_OPTIONS,
  type SemanticDraw,
  type SemanticOptions,
  sigmaGrid,
} from "../src/draw.ts";

const many = (options: SemanticOptions = SEMANTIC_OPTIONS): SemanticDraw[] =>
  Array.from({ length: 2000 }, (_, seed) => drawSemantic(seed, options));
const share = (draws: readonly SemanticDraw[], test: (draw: SemanticDraw) => boolean): number =>
  draws.filter(test).length / draws.length;

describe("sigmaGrid", () => {
  it("has 30 values from 0 to 2.9 and their kernel sizes", () => {
    const grid = sigmaGrid([0, 3, 0.1]);
    expect(grid).toHaveLength(30);
    expect(grid.slice(0, 4)).toEqual([0, 0.1, 0.2, 0.3]);
    expect(grid.at(-1)).toBe(2.9);
    expect(grid.map(kernelSize)).toEqual([
      1, 3, 3, 3, 5, 5, 5, 7, 7, 7, 7, 9, 9, 9, 11, 11, 11, 13, 13, 13, 13, 15, 15, 15, 17, 17, 17, 19, 19, 19,
    ]);
  });

  it("ends below the upper end, on the grid or off it", () => {
    expect(sigmaGrid([0.5, 1, 0.25])).toEqual([0.5, 0.75]);
    expect(sigmaGrid([0, 1, 0.4])).toEqual([0, 0.4, 0.8]);
  });
});

describe("drawSemantic", () => {
  it("is decided by the seed and survives JSON", () => {
    const draw = drawSemantic(7);
    expect(drawSemantic(7)).toEqual(draw);
    expect(drawSemantic(8)).not.toEqual(draw);
    expect(JSON.parse(JSON.stringify(draw))).toEqual(draw);
  });

  it("follows the reference's distributions", () => {
    const draws = many();
    // Standard deviations of these shares are at most 0.011: 2000 draws of fixed seeds.
    expect(share(draws, ({ noise }) => noise.type === "gaussian")).toBeCloseTo(0.5, 1);
    expect(share(draws, ({ sinc }) => sinc !== null)).toBeCloseTo(0.2, 1);
    expect(share(draws, ({ kernels }) => kernels[0].type === "aniso")).toBeCloseTo(0.5, 1);
    expect(new Set(draws.map(({ blurSigma }) => blurSigma)).size).toBe(30);
    expect(new Set(draws.map(({ sinc }) => sinc?.size ?? 0))).toEqual(new Set([0, 7, 9, 11, 13, 15, 17, 19, 21]));
    for (const { kernels, noise, quality, sinc, blurSigma, lqSize } of draws) {
      for (const kernel of kernels) {
        expect(kernel.size).toBe(kernelSize(blurSigma));
        expect("sigma" in kernel ? kernel.sigma : kernel.type === "aniso" && kernel.sigmaX).toBe(blurSigma);
        expect(kernel.type === "aniso" ? kernel.sigmaY : blurSigma).toBe(blurSigma);
      }
      const level = noise.type === "gaussian" ? noise.sigma / 30 : noise.scale / 3;
      expect(level >= 0 && level < 1).toBe(true);
      expect(quality >= 30 && quality < 95).toBe(true);
      if (sinc?.type === "sinc") expect(sinc.cutoff >= Math.PI / 3 && sinc.cutoff < Math.PI).toBe(true);
      expect(lqSize).toBe(224);
    }
  });

  it("draws what the options ask for", () => {
    const draws = many({ ...SEMANTIC_OPTIONS, sincProb: 1, finalSincProb: 0, gaussianNoiseProb: 0, useHflip: true });
    expect(share(draws, ({ kernels }) => kernels[0].type === "sinc" && kernels[1].type !== "sinc")).toBe(1);
    expect(share(draws, ({ sinc, noise }) => sinc === null && noise.type === "poisson")).toBe(1);
    expect(share(draws, ({ augment }) => augment.horizontal)).toBeCloseTo(0.5, 1);
    expect(share(draws, ({ augment }) => augment.vertical || augment.transpose)).toBe(0);
    const wide = draws.filter(({ blurSigma }) => kernelSize(blurSigma) >= 13).map(({ kernels }) => kernels[0]);
    const cutoffs = wide.map((kernel) => (kernel.type === "sinc" ? kernel.cutoff : Number.NaN));
    expect(Math.min(...cutoffs)).toBeGreaterThanOrEqual(Math.PI / 5);
    expect(Math.min(...cutoffs)).toBeLessThan(Math.PI / 3);
  });

  it("tells the caption what was drawn", () => {
    const { blurSigma, noise, quality, sinc } = drawSemantic(3);
    expect(levelsOf(drawSemantic(3))).toEqual({ blurSigma, noise, quality, ringing: sinc !== null });
  });

  it.each<[Partial<SemanticOptions>, string]>([
    [{ kernelProb: [0.5, 0.6] }, "kernelProb [0.5, 0.6]"],
    [{ kernelList: [], kernelProb: [] }, "kernelProb []"],
    [{ noiseRange: [5, 1] }, "noiseRange [5, 1] must be rising"],
    [{ jpegRange: [30, 100] }, "jpegRange [30, 100] must lie above 0 and not above 99"],
    [{ blurSigma: [0, 3, 0] }, "blurSigma [0, 3, 0]"],
    [{ blurSigma: [0, 6, 0.1] }, "blurKernelSize 21 must be odd and at least 37"],
    [{ blurKernelSize: 20 }, "blurKernelSize 20 must be odd"],
    [{ lqSize: 0.5 }, "lqSize 0.5"],
    [{ finalSincProb: 1.5 }, "finalSincProb 1.5 must lie between 0 and 1"],
  ])("refuses %j", (change, message) => {
    expect(() => drawSemantic(1, { ...SEMANTIC_OPTIONS, ...change })).toThrow(message);
  });
});

describe("drawBlurKernel", () => {
  it("draws every family within its ranges", () => {
    const rng = new Rng(1);
    const kernelList = [
      "iso",
      "aniso",
      "generalized_iso",
      "generalized_aniso",
      "plateau_iso",
      "plateau_aniso",
    ] as const;
    const options = {
      kernelList,
      kernelProb: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
      sigmaX: [0.2, 3],
      sigmaY: [0.5, 1.5],
      betagRange: [0.5, 4],
      betapRange: [1, 2],
    } as const;
    const kernels = Array.from({ length: 2000 }, () => drawBlurKernel(rng, 7, options));
    kernelList.forEach((type, i) => {
      expect(kernels.filter((kernel) => kernel.type === type).length / 2000).toBeCloseTo(options.kernelProb[i]!, 1);
    });
    for (const kernel of kernels.slice(0, 200)) {
      expect(blurKernel(kernel).weights.every(Number.isFinite)).toBe(true);
      if ("theta" in kernel) {
        expect(Math.abs(kernel.theta) <= Math.PI && kernel.sigmaY >= 0.5 && kernel.sigmaY < 1.5).toBe(true);
      }
      if ("beta" in kernel) expect(kernel.beta >= (kernel.type.startsWith("plateau") ? 1 : 0.5)).toBe(true);
    }
  });
});

describe("drawSinc", () => {
  it("reaches the largest size", () => {
    const rng = new Rng(2);
    expect(new Set(Array.from({ length: 100 }, () => drawSinc(rng, 11).size))).toEqual(new Set([7, 9, 11]));
  });
});
