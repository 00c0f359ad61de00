import { expect, it } from "vitest";
import type { Image } from "../../../apps/cli/src/data/image.ts";
import { lanczos } from "../../src/results/lanczos.ts";

function grey(width: number, height: number, level: (x: number, y: number) => number): Image {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return level(pixel % width, Math.floor(pixel / width));
  });
  return { width, height, data };
}

it("weighs pixels by the product of two sincs", () => {
  // One bright line: a new pixel is 200 times the weight of that line.
  const line = grey(16, 4, (x) => (x === 8 ? 200 : 0));
  const { width, height, data } = lanczos(line, 2);
  expect([width, height]).toEqual([32, 8]);
  const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  const weight = (x: number): number => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0);
  for (let x = 6; x < 26; x++) {
    const centre = (x + 0.5) / 2 - 0.5;
    let sum = 0;
    for (let k = -4; k <= 20; k++) sum += weight(centre - k);
    const expected = Math.round(Math.max(0, (200 * weight(centre - 8)) / sum));
    expect(data[(3 * width + x) * 3]).toBe(expected);
  }
});

it("keeps what is flat, and looks the same from both sides", () => {
  expect(
    lanczos(
      grey(5, 7, () => 93),
      4,
    ).data.every((value) => value === 93),
  ).toBe(true);
  const left = lanczos(
    grey(9, 9, (x, y) => (20 * x + 7 * y) % 256),
    3,
  );
  const right = lanczos(
    grey(9, 9, (x, y) => (20 * (8 - x) + 7 * y) % 256),
    3,
  );
  for (let y = 0; y < 27; y++) {
    for (let x = 0; x < 27; x++) expect(left.data[(y * 27 + x) * 3]).toBe(right.data[(y * 27 + 26 - x) * 3]);
  }
});
