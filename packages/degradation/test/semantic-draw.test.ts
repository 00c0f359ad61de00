import { describe, expect, it } from "vitest";
import {
  drawSemantic,
  kernelSize,
  levelsOf,
  SEMANTIC_OPTIONS,
  type SemanticDraw,
  type SemanticOptions,
  sigmaGrid,
} from "../src/semantic-draw.ts";

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

  it("takes the second blur's families and exponents from the options that end in 2", () => {
    const second = { kernelList2: ["plateau_iso"], kernelProb2: [1], betapRange2: [1, 1] } as const;
    for (const draw of many({ ...SEMANTIC_OPTIONS, ...second }).slice(0, 50)) {
      const { blurSigma: sigma } = draw;
      expect(["iso", "aniso"]).toContain(draw.kernels[0].type);
      expect(draw.kernels[1]).toEqual({ type: "plateau_iso", size: kernelSize(sigma), sigma, beta: 1 });
    }
  });

  it.each<[Partial<SemanticOptions>, string]>([
    [{ kernelProb: [0.5, 0.6] }, "kernelProb [0.5, 0.6] must be 2 shares of 1"],
    [{ kernelList: [], kernelProb: [] }, "kernelProb [] must be 0 shares of 1"],
    [{ kernelProb2: [1] }, "kernelProb2 [1] must be 2 shares of 1"],
    [{ noiseRange: [5, 1] }, "noiseRange [5, 1] must be rising and not below 0"],
    [{ poissonScaleRange: [-1, 1] }, "poissonScaleRange [-1, 1] must be rising and not below 0"],
    [{ betagRange: [2, 4] }, "betagRange [2, 4] must be above 0, on both sides of 1"],
    [{ jpegRange: [30, 100] }, "jpegRange [30, 100] must be rising, above 0 and not above 99"],
    [{ blurSigma: [0, 3, 0] }, "blurSigma [0, 3, 0]"],
    [{ blurSigma: [0, 6, 0.1] }, "blurKernelSize 21 must be odd and at least 37"],
    [{ blurKernelSize: 20 }, "blurKernelSize 20 must be odd"],
    [{ lqSize: 0.5 }, "lqSize 0.5 must be a whole number of at least 1"],
    [{ finalSincProb: 1.5 }, "finalSincProb 1.5 must be between 0 and 1"],
  ])("refuses %j", (change, message) => {
    expect(() => drawSemantic(1, { ...SEMANTIC_OPTIONS, ...change })).toThrow(`drawSemantic: ${message}`);
  });
});
