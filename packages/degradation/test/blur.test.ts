import { Device, scope } from "@deplsr/tensor";
import { expectClose, ndarray } from "@deplsr/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blurImages, filter2d, kernelTensor } from "../src/blur.ts";
import { blurKernel } from "../src/blur-kernel.ts";
import { filterReference } from "./reference.ts";
import { expectWithin, probe, waves, waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

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
    expect(out.shape).toEqual([2, 3, 9, 13]);
    const expected = filterReference(ndarray([2, 3, 9, 13], waves(2, 9, 13)), kernels);
    expectClose(await out.data(), expected.data, { abs: 2e-5 });
  });

  it("gives the same with kernels in a frame of zeros", async () => {
    using image = waveTensor(device, 1, 32, 40);
    using small = scope(() => filter2d(image, kernelTensor(device, [skewed])));
    const wide = blurKernel({ type: "iso", size: 21, sigma: 3 });
    using framed = scope(() => filter2d(image, kernelTensor(device, [skewed, wide]).slice([[0, 1]])));
    const [a, b] = [await small.data(), await framed.data()];
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-6);
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
