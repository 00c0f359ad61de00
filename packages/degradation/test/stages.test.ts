import { backward, mul, requireGrad, scope, sum } from "@deplsr/tensor";
import { checkOp, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  addGaussianNoise,
  addPoissonNoise,
  blurImages,
  blurKernel,
  diffJpeg,
  imresize,
  resize,
  usmKernel,
  usmSharpen,
} from "../src/index.ts";
import { antialiasReference, filterReference, imresizeReference, jpegReference, usmReference } from "./reference.ts";

const inputs = (...shape: number[]) => [{ shape, range: [0, 1] }] as const;

describe("values and gradients are those of the definition", () => {
  it("of blurs, with a kernel of its own size and family for each image", async () => {
    const kernels = [
      blurKernel({ type: "iso", size: 5, sigma: 1.2 }),
      blurKernel({ type: "aniso", size: 3, sigmaX: 1, sigmaY: 2, theta: 0.7 }),
      blurKernel({ type: "plateau_iso", size: 5, sigma: 1.2, beta: 1.5 }),
      blurKernel({ type: "sinc", size: 7, cutoff: 2 }),
      blurKernel({ type: "iso", size: 5, sigma: 0.4 }),
    ];
    await checkOp("blurImages", {
      op: (x) => blurImages(x, kernels),
      reference: (x) => {
        const padded = kernels.map(({ size, weights }) => {
          const wide = new Float64Array(49);
          const margin = (7 - size) / 2;
          for (const [i, weight] of weights.entries()) {
            wide[(Math.floor(i / size) + margin) * 7 + (i % size) + margin] = weight;
          }
          return wide;
        });
        return filterReference(x, padded);
      },
      inputs: inputs(5, 3, 7, 9),
    });
  });

  it("of unsharp masking", async () => {
    for (const [weight, threshold] of [
      [0.5, 10],
      [0.2, 60],
    ] as const) {
      await checkOp("usmSharpen", {
        op: (x) => usmSharpen(x, { weight, threshold, radius: 5 }),
        reference: (x) => usmReference(x, usmKernel(5).weights, weight, threshold),
        inputs: inputs(2, 3, 6, 8),
      });
    }
  });

  it.each(["bilinear", "bicubic"] as const)("of %s resizing against aliasing", async (mode) => {
    await checkOp("resize", {
      op: (x) => resize(x, mode, { size: [5, 4] }, { antialias: true }),
      reference: (x) => antialiasReference(x, mode, [5, 4]),
      inputs: inputs(1, 3, 13, 9),
    });
  });

  it.each([
    [1 / 2, true],
    [0.7, true],
    [0.7, false],
    [1 / 8, true],
    [1.5, true],
  ])("of imresize by %d, antialiasing %s", async (scale, antialiasing) => {
    await checkOp("imresize", {
      op: (x) => imresize(x, scale, { antialiasing }),
      reference: (x) => imresizeReference(x, scale, antialiasing),
      inputs: inputs(1, 2, 9, 5),
    });
  });

  it("of JPEG with soft rounding, with a quality for each image", async () => {
    const soft = (x: number): number => Math.round(x) + (x - Math.round(x)) ** 3;
    await checkOp("diffJpeg", {
      op: (x) => diffJpeg(x, { quality: [30, 80], differentiable: true }),
      reference: (x) => jpegReference(x, [30, 80], soft),
      inputs: inputs(2, 3, 16, 16),
      gradientTolerance: { rel: 1e-3 },
      layouts: false,
    });
  });

  it("of JPEG with plain rounding, whose gradient is zero", async () => {
    await checkOp("diffJpeg", {
      op: (x) => diffJpeg(x, { quality: [30, 80] }),
      reference: (x) => jpegReference(x, [30, 80], Math.round),
      inputs: inputs(2, 3, 16, 16),
      layouts: false,
    });
  });
});

describe("noise", () => {
  it("passes gradients where it does not clip", async () => {
    const device = await testDevice();
    const values = Float32Array.from({ length: 48 }, (_, i) => 0.3 + 0.005 * i);
    const field = Float32Array.from(values, (_, i) => (i === 7 ? 1e4 : Math.sin(i)));
    const weights = Float32Array.from(values, (_, i) => Math.cos(i));
    const shape = [1, 3, 4, 4];
    for (const kind of ["gaussian", "poisson"] as const) {
      using gradient = scope(() => {
        const x = requireGrad(device.tensor(values, shape));
        const draw = () => device.tensor(field, shape).abs();
        const out =
          kind === "gaussian" ? addGaussianNoise(x, { sigma: 10, draw }) : addPoissonNoise(x, { scale: 0.5, draw });
        return backward(sum(mul(out, device.tensor(weights, shape))), { wrt: [x] }).get(x)!;
      });
      const found = await gradient.data();
      expect(found[7]).toBe(0);
      expect([...found].filter((_, i) => i !== 7)).toEqual([...weights].filter((_, i) => i !== 7));
    }
  });
});
