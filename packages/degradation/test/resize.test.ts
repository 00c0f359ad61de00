import { Device, scope } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ResizeMode, type ResizeTarget, resize } from "../src/resize.ts";
import { expectWithin, probe, waveTensor } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

const factor: ResizeTarget = { scaleFactor: 0.61 };
const smaller: ResizeTarget = { size: [16, 20] };
const larger: ResizeTarget = { size: [50, 61] };

describe("resize", () => {
  it.each<[ResizeMode, ResizeTarget, number, number]>([
    ["area", factor, 686.979383, 0.54811603],
    ["bilinear", factor, 689.479295, 0.48053133],
    ["bicubic", factor, 689.355608, 0.47445688],
    ["area", smaller, 481.973558, 0.90281284],
    ["bilinear", smaller, 481.973558, 0.90281284],
    ["bicubic", smaller, 481.973558, 0.91898888],
    ["area", larger, 4595.533758, 0.59320182],
    ["bilinear", larger, 4593.762236, 0.60308862],
    ["bicubic", larger, 4593.883591, 0.60214084],
  ])("%s to %j agrees with published values", async (mode, target, sum, value) => {
    using out = scope(() => resize(waveTensor(device, 1, 32, 40), mode, target));
    expect(out.shape).toEqual("size" in target ? [1, 3, ...target.size] : [1, 3, 19, 24]);
    expectWithin(await probe(out, [1, 5, 7]), [sum, value], [0.02, 1e-5]);
  });

  it("leaves an image of the same size alone, bicubic", async () => {
    using image = waveTensor(device, 1, 12, 10);
    using out = scope(() => resize(image, "bicubic", { size: [12, 10] }));
    const [a, b] = [await image.data(), await out.data()];
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-6);
  });
});
