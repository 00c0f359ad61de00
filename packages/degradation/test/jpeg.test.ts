import { Device, scope } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { diffJpeg, quantizationFactor } from "../src/jpeg.ts";
import { expectWithin, probe, waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

describe("quantizationFactor", () => {
  it.each([
    [10, 5],
    [30, 50 / 30],
    [49.9, 1.002004],
    [50, 1],
    [75, 0.5],
    [95, 0.1],
    [99, 0.02],
  ])("of quality %d is %d", (quality, factor) => {
    expect(quantizationFactor(quality)).toBeCloseTo(factor, 6);
  });

  it.each([0, -1, 99.5, 100, Number.NaN])("refuses %d", (quality) => {
    expect(() => quantizationFactor(quality)).toThrow("must be above 0 and at most 99");
  });
});

describe("diffJpeg", () => {
  // Single coefficients may lie on a rounding tie: hence the wide bound of the sums, as spec/checks.md says.
  it.each([
    [30, [1921.262674, 0.6659435, 0.15523253, 0.50500309]],
    [50, [1921.61366, 0.64481467, 0.11149356, 0.41475311]],
    [75, [1930.636162, 0.56784612, 0.10445666, 0.45071808]],
    [95, [1928.148573, 0.5675444, 0.100958, 0.39692798]],
  ])("agrees with published values at quality %d", async (quality, expected) => {
    using out = scope(() => diffJpeg(waveTensor(device, 1, 32, 40), { quality }));
    expectWithin(await probe(out, [0, 0, 0], [1, 5, 7], [2, 31, 39]), expected, [1, 1e-4, 1e-4, 1e-4]);
  });

  it("takes a quality for each image, each as if it were alone", async () => {
    using both = scope(() => diffJpeg(waveTensor(device, 2, 20, 24), { quality: [35, 90] }));
    const batch = await both.data();
    for (const [i, quality] of [35, 90].entries()) {
      using one = scope(() => diffJpeg(waveTensor(device, 2, 20, 24).slice([[i, i + 1]]), { quality }));
      expect(await one.data()).toEqual(batch.slice((i * batch.length) / 2, ((i + 1) * batch.length) / 2));
    }
  });

  it("comes closer to the image with a higher quality, and stays in [0, 1]", async () => {
    using image = waveTensor(device, 1, 48, 48);
    const original = await image.data();
    const errors: number[] = [];
    for (const quality of [5, 50, 95, 99]) {
      using out = scope(() => diffJpeg(image, { quality }));
      const data = await out.data();
      expect(Math.min(...data)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...data)).toBeLessThanOrEqual(1);
      errors.push((data as Float32Array).reduce((sum, value, i) => sum + (value - original[i]!) ** 2, 0) / data.length);
    }
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    expect(errors[0]).toBeGreaterThan(1e-3);
  });

  it("refuses other images and numbers of qualities", () => {
    scope(() => {
      expect(() => diffJpeg(device.zeros([1, 1, 8, 8]), { quality: 50 })).toThrow(
        "images [1, 1, 8, 8] must be (b, 3, h, w)",
      );
      expect(() => diffJpeg(device.zeros([2, 3, 8, 8]), { quality: [50] })).toThrow("1 qualities for 2 images");
      return null;
    });
  });
});
