import { Device, interpolate, scope } from "@deplsr/tensor";
import { afterAll, expect, test } from "vitest";
import type { RasterImage } from "../src/image.ts";
import { squaresForPrompt } from "../src/prompt.ts";
import { picture } from "./pictures.ts";

const device = await Device.request();
afterAll(() => device.destroy());

test.each([
  [40, 23, 8],
  [5, 9, 8],
  [1, 1, 8],
  [40, 23, 16],
] as const)(
  "what SRCLIP sees of %i x %i, %i bits, is the same whether made on the host or on the device",
  async (width, height, depth) => {
    const image = picture(width, height, depth);
    const white = depth === 8 ? 255 : 65535;
    const area = width * height;
    const planes = Float32Array.from(
      { length: area * 3 },
      (_, i) => image.data[(i % area) * 3 + Math.floor(i / area)]! / white,
    );
    using expected = scope(() =>
      interpolate(device.tensor(planes, [1, 3, height, width]), { mode: "bilinear", size: [16, 16] }),
    );
    const reference = await expected.data();
    for (const [i, value] of squaresForPrompt(image, 16, "squash")[0]!.entries())
      expect(Math.abs(value - reference[i]!)).toBeLessThan(1e-5);
  },
);

test("squares are cut out of an image that has room for them, on the grid of JPEG's blocks; of others all is squashed", () => {
  const places = (width: number, height: number): [number, number][] =>
    squaresForPrompt(positions(width, height), 16, "crop").map((planes) => {
      // Red tells the column, green the row, and both go on by one a pixel.
      for (const [x, y] of [
        [1, 0],
        [15, 15],
        [7, 3],
      ] as const) {
        expect(Math.round(255 * (planes[y * 16 + x]! - planes[0]!))).toBe(x);
        expect(Math.round(255 * (planes[256 + y * 16 + x]! - planes[256]!))).toBe(y);
      }
      return [Math.round(255 * planes[0]!), Math.round(255 * planes[256]!)];
    });
  expect(places(16, 16)).toEqual([[0, 0]]);
  expect(places(31, 29)).toEqual([[0, 0]]);
  // Three shares of 80 / 3 columns, the middles of which are 13.3, 40 and 66.7; two shares of 20 rows.
  expect(places(80, 40)).toEqual([0, 16].flatMap((y) => [0, 32, 56].map((x) => [x, y])));
  expect(places(200, 200).length).toBe(9);
  expect(squaresForPrompt(picture(20, 9), 16, "crop")).toEqual(squaresForPrompt(picture(20, 9), 16, "squash"));
});

function positions(width: number, height: number): RasterImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const at = Math.floor(i / 3);
    return [at % width, Math.floor(at / width), 0][i % 3]!;
  });
  return { width, height, data };
}
