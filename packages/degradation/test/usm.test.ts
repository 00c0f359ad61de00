import { backward, Device, mul, requireGrad, scope, sum } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { usmKernel, usmSharpen } from "../src/usm.ts";
import { dot, expectWithin, probe, waves, waveTensor } from "./waves.ts";

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

  it("has the gradient of its formula, the mask held still", async () => {
    // No threshold and no clipping: y = x + w·(x − blur(x)), which is linear, so a difference of two results is exact.
    const weight = 0.1;
    const direction = waves(2, 28, 30).slice(3 * 28 * 30);
    const shape = [1, 3, 28, 30];
    const run = (step: number): Promise<ArrayLike<number>> => {
      using out = scope(() => {
        const base = waves(1, 28, 30).map((value, i) => 0.3 + 0.4 * value + step * direction[i]!);
        return usmSharpen(device.tensor(base, shape), { weight, threshold: -1 });
      });
      return out.data();
    };
    const cotangent = waves(1, 28, 30);
    const expected = (dot(cotangent, await run(0.05)) - dot(cotangent, await run(-0.05))) / 0.1;
    using gradient = scope(() => {
      const image = requireGrad(
        device.tensor(
          waves(1, 28, 30).map((value) => 0.3 + 0.4 * value),
          shape,
        ),
      );
      const out = usmSharpen(image, { weight, threshold: -1 });
      return backward(sum(mul(out, device.tensor(cotangent, shape))), { wrt: [image] }).get(image)!;
    });
    expect(Math.abs(dot(await gradient.data(), direction) / expected - 1)).toBeLessThan(1e-4);
  });

  it("refuses images without room for the kernel", () => {
    scope(() => {
      expect(() => usmSharpen(device.zeros([1, 3, 25, 64]))).toThrow("64 x 25 pixels are too small");
      expect(() => usmSharpen(device.zeros([3, 64, 64]))).toThrow("usmSharpen: images [3, 64, 64]");
      return null;
    });
  });
});
