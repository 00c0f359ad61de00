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
  // The sum, and values at two places: row 5, column 7 of the second channel and a corner.
  it.each<[ResizeMode, ResizeTarget, number, number, number | null]>([
    ["area", factor, 686.979383, 0.54811603, 0.62021571],
    ["bilinear", factor, 689.479295, 0.48053133, 0.57708013],
    ["bicubic", factor, 689.355608, 0.47445688, 0.5622372],
    ["area", smaller, 481.973558, 0.90281284, null],
    ["bilinear", smaller, 481.973558, 0.90281284, null],
    ["bicubic", smaller, 481.973558, 0.91898888, null],
    ["area", larger, 4595.533758, 0.59320182, 0.35974985],
    ["bilinear", larger, 4593.762236, 0.60308862, null],
    ["bicubic", larger, 4593.883591, 0.60214084, 0.35111675],
  ])("%s to %j agrees with published values", async (mode, target, sum, value, corner) => {
    using out = scope(() => resize(waveTensor(device, 1, 32, 40), mode, target));
    expect(out.shape).toEqual("size" in target ? [1, 3, ...target.size] : [1, 3, 19, 24]);
    const found = await probe(out, [1, 5, 7], target === larger ? [2, 49, 60] : [0, 0, 0]);
    expectWithin(found, [sum, value, corner ?? found[2]!], [0.02, 1e-5, 1e-5]);
  });

  it.each<[ResizeMode, number[]]>([
    ["area", [0.5, 2, 3.5]],
    ["bilinear", [0.333333, 2, 3.666667]],
    ["bicubic", [0.2592597, 2, 3.7407398]],
    ["bicubic", [-0.092834, 0.34906, 1.088135, 1.647217, 2.352783, 2.911865, 3.65094, 4.092834]],
  ])("%s of a ramp agrees with published values", async (mode, expected) => {
    using out = scope(() => resize(device.tensor([0, 1, 2, 3, 4], [1, 1, 1, 5]), mode, { size: [1, expected.length] }));
    expectWithin(
      [...(await out.data())],
      expected,
      expected.map(() => 2e-6),
    );
  });

  it("leaves an image of the same size alone, bicubic", async () => {
    using image = waveTensor(device, 1, 12, 10);
    using out = scope(() => resize(image, "bicubic", { size: [12, 10] }));
    const [a, b] = [await image.data(), await out.data()];
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-6);
  });
});
