import { Rng } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { fitImage } from "../../src/data/fit.ts";
import type { Image } from "../../src/data/image.ts";

/** Red is the column, green the row. */
function places(width: number, height: number): Image {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const at = Math.floor(i / 3);
    return [at % width, Math.floor(at / width), 7][i % 3]!;
  });
  return { width, height, data };
}

const cornerOf = ({ data }: Image): [number, number] => [data[0]!, data[1]!];

it("takes the middle on the grid of JPEG's blocks", () => {
  const square = fitImage(places(90, 47), 32, "crop");
  expect([square.width, square.height]).toEqual([32, 32]);
  expect(cornerOf(square)).toEqual([24, 0]);
  expect(cornerOf(fitImage(places(96, 96), 48, "crop"))).toEqual([24, 24]);
});

it("takes random squares, half of them on that grid, and reaches all places", () => {
  const rng = new Rng(3);
  const photo = places(60, 50);
  const corners = Array.from({ length: 4000 }, () => cornerOf(fitImage(photo, 40, "crop", rng)));
  const onGrid = corners.filter(([x, y]) => x % 8 === 0 && y % 8 === 0);
  // Of the other half, 3 x 2 of the 21 x 11 places are on it too.
  const share = 0.5 + (0.5 * 6) / (21 * 11);
  expect(Math.abs(onGrid.length / corners.length - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / 4000));
  expect(new Set(onGrid.map(String))).toEqual(new Set(["0,0", "8,0", "16,0", "0,8", "8,8", "16,8"]));
  expect(new Set(corners.map(([x]) => x)).size).toBe(21);
  expect(new Set(corners.map(([, y]) => y)).size).toBe(11);
});

it("squashes what is smaller, and leaves what fits", () => {
  const photo = places(40, 20);
  expect(fitImage(photo, 32, "crop")).toEqual(fitImage(photo, 32, "squash"));
  const square = places(32, 32);
  expect(fitImage(square, 32, "crop", new Rng(1))).toBe(square);
});
