import { existsSync, readdirSync } from "node:fs";
import { Device, scope, type Tensor } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPng } from "../../metrics/test/png.ts";
import { imresize } from "../src/imresize.ts";
import { expectWithin, probe } from "./waves.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

/** The image A of spec/checks.md, 200 rows of 210 pixels, in [0, 1]. */
function imageA(): Tensor {
  const values = Float32Array.from({ length: 3 * 200 * 210 }, (_, index) => {
    const [c, y, x] = [Math.floor(index / 42000), Math.floor(index / 210) % 200, index % 210];
    const wave = 90 * Math.sin(0.3 * x + 0.2 * y + c) * Math.cos(0.15 * x - 0.25 * y);
    return Math.min(255, Math.max(0, Math.round(127.5 + wave + 20 * Math.sin(0.333 * x + 0.697 * y + c)))) / 255;
  });
  return device.tensor(values, [1, 3, 200, 210]);
}

/** The first `height` rows and `width` columns of an RGB image as planes in [0, 1]. */
function planes(rgb: ArrayLike<number>, stride: number, height: number, width: number): Float32Array {
  return Float32Array.from({ length: 3 * height * width }, (_, index) => {
    const [c, y, x] = [Math.floor(index / (height * width)), Math.floor(index / width) % height, index % width];
    return rgb[(y * stride + x) * 3 + c]! / 255;
  });
}

describe("imresize", () => {
  it.each([
    [1 / 2, [100, 105], 15748.7112],
    [1 / 4, [50, 53], 3973.1223],
    [2, [400, 420], 251979.3793],
    [1 / 3, [67, 70], 7034.4789],
  ])("by %d agrees with published values", async (scale, size, total) => {
    using out = scope(() => imresize(imageA(), scale));
    expect(out.shape).toEqual([1, 3, ...size]);
    const found = await probe(out, [0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 10, 20], [1, 10, 20], [2, 10, 20]);
    expect(Math.abs(found[0]! / total - 1)).toBeLessThan(1e-6);
    const half = [0.6169405, 0.9026031, 0.8187819, 0.4307015, 0.2601168, 0.3100144];
    if (scale === 1 / 2)
      expectWithin(
        found.slice(1),
        half,
        half.map(() => 1e-5),
      );
  });

  it("mirrors borders that the filter reaches over more than once", async () => {
    using out = scope(() => imresize(device.tensor([0.2, 0.6], [1, 1, 2, 1]), 1 / 8));
    // One pixel of a filter of 32: mirrored, both values lie in it equally often and symmetrically.
    expect([...(await out.data())].map((value) => value.toFixed(6))).toEqual(["0.400000"]);
  });

  it("refuses what leaves no image", () => {
    scope(() => {
      expect(() => imresize(device.zeros([1, 3, 8, 8]), 0)).toThrow("scale 0 above 0");
      expect(() => imresize(device.zeros([3, 8, 8]), 2)).toThrow("images [3, 8, 8] must be (b, c, h, w)");
      return null;
    });
  });
});

const set5 = new URL("../../../../shared/data/set5/", import.meta.url);

if (existsSync(set5)) {
  describe("the low-resolution images of Set5", () => {
    it.each([2, 3, 4])("x%d are reproduced byte for byte", async (scale) => {
      for (const file of readdirSync(new URL("HR/", set5))) {
        const image = readPng(new URL(`HR/${file}`, set5));
        const lr = readPng(new URL(`LR_bicubic/X${scale}/${file.replace(".png", `x${scale}.png`)}`, set5));
        const [h, w] = [lr.height * scale, lr.width * scale];
        using out = scope(() =>
          imresize(device.tensor(planes(image.data, image.width, h, w), [1, 3, h, w]), 1 / scale, { form: "uint8" }),
        );
        expect(out.shape).toEqual([1, 3, lr.height, lr.width]);
        const bytes = Uint8Array.from(await out.data(), (value) => Math.round(value * 255));
        const expected = planes(lr.data, lr.width, lr.height, lr.width).map((value) => Math.round(value * 255));
        expect(bytes.filter((byte, i) => byte !== expected[i]).length).toBe(0);
      }
    });

    it("differ by the rounding between the passes from the float form", async () => {
      const { data, width, height } = readPng(new URL("HR/bird.png", set5));
      const results = await Promise.all(
        (["float", "uint8"] as const).map(async (form) => {
          using out = scope(() =>
            imresize(device.tensor(planes(data, width, height, width), [1, 3, height, width]), 1 / 2, { form }),
          );
          return Uint8Array.from(await out.data(), (value) => Math.round(Math.min(1, Math.max(0, value)) * 255));
        }),
      );
      const differing = results[0]!.filter((byte, i) => byte !== results[1]![i]).length / results[0]!.length;
      expect(differing).toBeGreaterThan(0.05);
      expect(differing).toBeLessThan(0.2);
    });
  });
}

const set14 = new URL("../../../../shared/data/metrics_ref/", import.meta.url);

if (existsSync(set14)) {
  it("the float form makes the low-resolution images that were made of doubles", async () => {
    for (const file of readdirSync(new URL("gt/", set14))) {
      const [image, lr] = [readPng(new URL(`gt/${file}`, set14)), readPng(new URL(`lq/${file}`, set14))];
      const shape = [1, 3, image.height, image.width];
      using out = scope(() =>
        imresize(device.tensor(planes(image.data, image.width, image.height, image.width), shape), 1 / 4),
      );
      expect(out.shape).toEqual([1, 3, lr.height, lr.width]);
      const expected = planes(lr.data, lr.width, lr.height, lr.width);
      const bytes = (await out.data()).map((value) => Math.round(Math.min(1, Math.max(0, value)) * 255));
      const differing = bytes.filter((byte, i) => byte !== Math.round(expected[i]! * 255)).length;
      // None where this was written; a sum in f32 may come out on the other side of a half.
      expect(differing / bytes.length).toBeLessThan(1e-4);
    }
  });
}
