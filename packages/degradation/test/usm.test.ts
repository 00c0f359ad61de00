import { Device, scope } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { usmKernel, usmSharpen } from "../src/usm.ts";
import { expectWithin, probe, waves, waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

describe("usmKernel", () => {
  it("is OpenCV's Gaussian of 51 pixels", () => {
    const { size, weights } = usmKernel(51);
    expect(size).toBe(51);
    expect(weights[25 * 51 + 25]).toBeCloseTo(0.00249389768578, 9);
    expect(weights[0]).toBeCloseTo(1.43127e-7, 11);
    expect(usmKernel(50)).toEqual(usmKernel(51));
  });
});

describe("usmSharpen", () => {
  it("agrees with published values", async () => {
    const [h, w] = [100, 120];
    const small = waves(1, 32, 40);
    const tiled = Float32Array.from({ length: 3 * h * w }, (_, index) => {
      const [c, i, j] = [Math.floor(index / (h * w)), Math.floor(index / w) % h, index % w];
      return small[(c * 32 + (i % 32)) * 40 + (j % 40)]!;
    });
    using out = scope(() => usmSharpen(device.tensor(tiled, [1, 3, h, w])));
    expectWithin(await probe(out, [0, 0, 0], [1, 50, 60]), [18045.3498, 0.4625994, 0.45552215], [0.05, 1e-5, 1e-5]);
  });

  it("leaves alone what has no detail beyond the threshold", async () => {
    using image = waveTensor(device, 1, 30, 40);
    using out = scope(() => usmSharpen(image, { threshold: 255 }));
    expect(await out.data()).toEqual(await image.data());
  });

  it("refuses images without room for the kernel", () => {
    scope(() => {
      expect(() => usmSharpen(device.zeros([1, 3, 25, 64]))).toThrow("64 x 25 pixels are too small");
      expect(() => usmSharpen(device.zeros([3, 64, 64]))).toThrow("usmSharpen: images [3, 64, 64]");
      return null;
    });
  });
});
