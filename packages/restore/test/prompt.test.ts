import { Device, interpolate, scope } from "@deplsr/tensor";
import { afterAll, expect, test } from "vitest";
import { squareForPrompt } from "../src/prompt.ts";
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
    for (const [i, value] of squareForPrompt(image, 16, "squash").entries())
      expect(Math.abs(value - reference[i]!)).toBeLessThan(1e-5);
  },
);

test("the middle is cut out of an image that has one, on the grid of JPEG's blocks; of others all is squashed", () => {
  const image = picture(35, 42);
  const middle = squareForPrompt(image, 16, "crop");
  for (const [x, y, c] of [
    [0, 0, 0],
    [15, 15, 2],
    [7, 3, 1],
  ] as const)
    expect(middle[(c * 16 + y) * 16 + x]).toBeCloseTo(image.data[((y + 8) * 35 + x + 8) * 3 + c]! / 255, 6);
  expect(squareForPrompt(picture(20, 9), 16, "crop")).toEqual(squareForPrompt(picture(20, 9), 16, "squash"));
});
