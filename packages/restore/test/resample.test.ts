import { Device, interpolate } from "@deplsr/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { colourStrips, cubicTaps, resampled } from "../src/resample.ts";
import { Restorer } from "../src/restorer.ts";
import { resultSize } from "../src/size.ts";
import { nearest, picture } from "./pictures.ts";

const device = await Device.request();
afterAll(() => device.destroy());

describe("bringing an image to another size", () => {
  const sizes = [
    [1, 1],
    [10, 14],
    [20, 30],
    [33, 47],
    [61, 90],
    [80, 40],
    [7, 130],
  ] as const;

  test.each(sizes)("%i x %i is what the engine's interpolation makes, away from the edges", async (width, height) => {
    const image = picture(40, 60);
    const planes = Float32Array.from(
      { length: 7200 },
      (_, i) => image.data[(i % 2400) * 3 + Math.floor(i / 2400)]! / 255,
    );
    using expected = interpolate(device.tensor(planes, [1, 3, 60, 40]), {
      mode: "bicubic",
      size: [height, width],
      cubicA: -0.5,
      antialias: true,
    });
    const values = await expected.data();
    let rows = 0;
    for await (const strip of resampled(colourStrips(image), image, { width, height }, 3)) {
      expect(strip.top).toBe(rows);
      rows += strip.rows;
      expect(strip.rows).toBeLessThanOrEqual(64); // however large the image
      for (let i = 0; i < strip.rows * width * 3; i++) {
        const [c, x, y] = [i % 3, Math.floor(i / 3) % width, strip.top + Math.floor(i / 3 / width)];
        // At the edges the engine leaves taps out, here the edge is repeated.
        const inside = (at: number, to: number, from: number): boolean => {
          const [center, reach] = [((at + 0.5) * from) / to, 2 * Math.max(1, from / to) + 1];
          return center > reach && center < from - reach;
        };
        if (!inside(x, width, 40) || !inside(y, height, 60)) continue;
        expect(Math.abs(strip.data[i]! - values[(c * height + y) * width + x]!)).toBeLessThan(1e-5);
      }
    }
    expect(rows).toBe(height);
  });

  test("weights are those of the definition and add up to 1", () => {
    // Keys, a = -1/2, a quarter of a pixel off: t = 1.25, 0.25, 0.75, 1.75.
    const { first, weights } = cubicTaps(10, 20);
    const expected = [-0.0703125, 0.8671875, 0.2265625, -0.0234375];
    expect(first[9]).toBe(3);
    for (const [k, weight] of expected.entries()) expect(weights[9]![k]).toBeCloseTo(weight, 7);
    for (const [from, to] of [
      [5, 3],
      [3, 5],
      [100, 7],
      [1, 9],
    ] as const) {
      for (const taps of cubicTaps(from, to).weights)
        expect(taps.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 6);
    }
  });

  test("strength 0 is plain enlargement without the network, and a half lies in the middle", async () => {
    const image = picture(12, 10);
    const untouched = {
      scale: 2,
      promptDim: null,
      forward: () => {
        throw new Error("it was asked");
      },
    };
    const plain = await new Restorer(device, { network: untouched }).restore(image, { strength: 0 });
    const values: number[] = [];
    for await (const strip of resampled(colourStrips(image), image, { width: 24, height: 20 }, 3))
      values.push(...strip.data);
    expect([...plain.data]).toEqual(values.map((v) => Math.round(Math.min(1, Math.max(0, v)) * 255)));
    const restorer = new Restorer(device, { network: nearest(2) });
    const [whole, half] = [await restorer.restore(image), await restorer.restore(image, { strength: 0.5 })];
    for (const [i, value] of half.data.entries())
      expect(Math.abs(value - (whole.data[i]! + plain.data[i]!) / 2)).toBeLessThanOrEqual(1);
  });

  test.each([
    [{}, [80, 60]],
    [{ scale: 1 }, [40, 30]],
    [{ scale: 1.5 }, [60, 45]],
    [{ scale: 3 }, [120, 90]],
    [{ scale: 0.001 }, [1, 1]],
    [{ width: 100 }, [100, 75]],
    [{ height: 31 }, [41, 31]],
    [{ width: 7, height: 9 }, [7, 9]],
  ] as const)("%o of 40 x 30 and a network x2", async (options, [width, height]) => {
    expect(resultSize({ width: 40, height: 30 }, options, 2)).toEqual({ width, height });
    const result = await new Restorer(device, { network: nearest(2) }).restore(picture(40, 30), options);
    expect([result.width, result.height, result.data.length]).toEqual([width, height, width * height * 3]);
    expect(result.data.every((value) => value > 20)).toBe(true);
  });
});
