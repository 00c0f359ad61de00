import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { drawBlur, drawSinc } from "../src/blur-draw.ts";
import { blurKernel } from "../src/blur-kernel.ts";

const options = {
  kernelList: ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"],
  kernelProb: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
  sincProb: 0,
  betagRange: [0.5, 4],
  betapRange: [1, 2],
} as const;

describe("drawBlur", () => {
  it("draws every family within its ranges", () => {
    const rng = new Rng(1);
    const kernels = Array.from({ length: 2000 }, () => drawBlur(rng, 7, [0.2, 3], options));
    options.kernelList.forEach((type, i) => {
      expect(kernels.filter((kernel) => kernel.type === type).length / 2000).toBeCloseTo(options.kernelProb[i]!, 1);
    });
    for (const kernel of kernels.slice(0, 200)) {
      expect(kernel.size).toBe(7);
      expect(blurKernel(kernel).weights.every(Number.isFinite)).toBe(true);
      const sigmas = "sigma" in kernel ? [kernel.sigma] : "sigmaX" in kernel ? [kernel.sigmaX, kernel.sigmaY] : [];
      expect(sigmas.length > 0 && sigmas.every((sigma) => sigma >= 0.2 && sigma < 3)).toBe(true);
      if ("theta" in kernel) expect(Math.abs(kernel.theta) <= Math.PI).toBe(true);
      if ("beta" in kernel) expect(kernel.beta >= (kernel.type.startsWith("plateau") ? 1 : 0.5)).toBe(true);
    }
    // Half of the exponents lie below 1, although their range is narrower.
    const betas = kernels.flatMap((kernel) => (kernel.type === "generalized_iso" ? [kernel.beta] : []));
    expect(betas.filter((beta) => beta < 1).length / betas.length).toBeCloseTo(0.5, 1);
  });

  it.each([
    [11, Math.PI / 3],
    [13, Math.PI / 5],
  ])("draws sinc filters of %d pixels with cutoffs from %d on", (size, least) => {
    const rng = new Rng(3);
    const kernels = Array.from({ length: 500 }, () => drawBlur(rng, size, [0.2, 3], { ...options, sincProb: 1 }));
    const cutoffs = kernels.map((kernel) => (kernel.type === "sinc" ? kernel.cutoff : Number.NaN));
    expect(Math.min(...cutoffs)).toBeGreaterThanOrEqual(least);
    expect(Math.min(...cutoffs)).toBeLessThan(least + 0.05);
    expect(Math.max(...cutoffs)).toBeLessThan(Math.PI);
  });
});

describe("drawSinc", () => {
  it("reaches the largest size", () => {
    const rng = new Rng(2);
    expect(new Set(Array.from({ length: 100 }, () => drawSinc(rng, 11).size))).toEqual(new Set([7, 9, 11]));
  });
});
