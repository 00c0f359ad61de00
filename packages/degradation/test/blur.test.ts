import { backward, Device, requireGrad, scope, sum } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blurImages, filter2d, kernelTensor } from "../src/blur.ts";
import { blurKernel } from "../src/blur-kernel.ts";
import { expectWithin, probe, waves, waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

/** Cross-correlation with reflected borders, from the definition, in f64. */
function reference(
  image: Float32Array,
  [b, c, h, w]: [number, number, number, number],
  kernels: Float64Array[],
): Float64Array {
  const k = Math.sqrt(kernels[0]!.length);
  const mirror = (i: number, size: number): number => (i < 0 ? -i : i >= size ? 2 * size - 2 - i : i);
  return Float64Array.from({ length: b * c * h * w }, (_, index) => {
    const [j, i, plane] = [index % w, Math.floor(index / w) % h, Math.floor(index / (w * h))];
    const kernel = kernels[kernels.length === 1 ? 0 : Math.floor(plane / c)]!;
    return kernel.reduce((total, weight, at) => {
      const row = mirror(i + Math.floor(at / k) - (k - 1) / 2, h);
      const column = mirror(j + (at % k) - (k - 1) / 2, w);
      return total + weight * image[(plane * h + row) * w + column]!;
    }, 0);
  });
}

const skewed = blurKernel({ type: "aniso", size: 7, sigmaX: 1, sigmaY: 2, theta: Math.PI / 4 });

describe("filter2d", () => {
  it("agrees with published values", async () => {
    using image = waveTensor(device, 1, 32, 40);
    using out = scope(() => filter2d(image, kernelTensor(device, [skewed])));
    const found = await probe(out, [0, 0, 0], [1, 5, 7], [2, 31, 39]);
    expectWithin(found, [1929.555995, 0.73981446, 0.16944982, 0.44852242], [0.02, 1e-5, 1e-5, 1e-5]);
  });

  it.each([
    ["one kernel for the batch", 1],
    ["a kernel for each image", 2],
  ])("is the definition with %s, not flipped", async (_, count) => {
    const shape = [2, 3, 9, 13] as [number, number, number, number];
    const kernels = [0, 1]
      .slice(0, count)
      .map((n) => Float64Array.from({ length: 25 }, (_, i) => Math.sin(1 + i + 3 * n)));
    using out = scope(() =>
      filter2d(
        waveTensor(device, 2, 9, 13),
        device.tensor(
          kernels.flatMap((kernel) => [...kernel]),
          [count, 5, 5],
        ),
      ),
    );
    const expected = reference(waves(2, 9, 13), shape, kernels);
    const found = await out.data();
    expect(out.shape).toEqual(shape);
    for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(2e-5);
  });

  it("gives the same with kernels in a frame of zeros", async () => {
    using image = waveTensor(device, 1, 32, 40);
    using small = scope(() => filter2d(image, kernelTensor(device, [skewed])));
    const wide = blurKernel({ type: "iso", size: 21, sigma: 3 });
    using framed = scope(() => filter2d(image, kernelTensor(device, [skewed, wide]).slice([[0, 1]])));
    const [a, b] = [await small.data(), await framed.data()];
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-6);
  });

  it("has a gradient", async () => {
    using gradient = scope(() => {
      const image = requireGrad(waveTensor(device, 1, 9, 9));
      return backward(sum(filter2d(image, kernelTensor(device, [skewed]))), { wrt: [image] }).get(image)!;
    });
    // Weights sum to 1, so the pixels' shares of the sum add up to their number.
    expect((await probe(gradient))[0]).toBeCloseTo(3 * 81, 3);
  });

  it("refuses what does not fit", () => {
    scope(() => {
      const image = device.zeros([2, 3, 8, 4]);
      expect(() => filter2d(image, device.zeros([3, 5, 5]))).toThrow("kernel [3, 5, 5]");
      expect(() => filter2d(image, device.zeros([4, 4]))).toThrow("with k odd");
      expect(() => filter2d(image, device.zeros([9, 9]))).toThrow(
        "4 x 8 pixels are too small for a kernel of 9 pixels",
      );
      return null;
    });
  });
});

describe("blurImages", () => {
  const iso = blurKernel({ type: "iso", size: 5, sigma: 1.2 });
  const round = blurKernel({ type: "aniso", size: 9, sigmaX: 2, sigmaY: 2, theta: 0.3 });
  const sinc = blurKernel({ type: "sinc", size: 7, cutoff: 2 });

  it.each([
    ["of rows and columns", [iso, round]],
    ["of other kernels, too", [iso, sinc]],
    ["that turn", [skewed, iso]],
  ])("is filter2d for batches %s", async (_, kernels) => {
    using image = waveTensor(device, 2, 32, 40);
    using fast = scope(() => blurImages(image, kernels));
    using plain = scope(() => filter2d(image, kernelTensor(device, kernels)));
    const [a, b] = [await fast.data(), await plain.data()];
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(2e-6);
  });

  it("leaves images alone that are not blurred, and wants a kernel for each", () => {
    scope(() => {
      const image = waveTensor(device, 1, 8, 8);
      expect(blurImages(image, [blurKernel({ type: "iso", size: 1, sigma: 0 })])).toBe(image);
      expect(() => blurImages(image, [iso, iso])).toThrow("2 kernels for images [1, 3, 8, 8]");
      return null;
    });
  });
});
