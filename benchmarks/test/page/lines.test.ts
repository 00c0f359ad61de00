import { expect, it } from "vitest";
import { seamLines } from "../../src/page/lines.ts";

const [width, height] = [24, 16];

/** An image whose values are those of a function of the place. */
function image(value: (x: number, y: number) => number) {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return value(pixel % width, Math.floor(pixel / width));
  });
  return { width, height, data };
}

const photo = image((x, y) => 100 + 3 * x + 2 * y);

it("finds none in a result that is as that of the whole image, or lighter all over", () => {
  expect(seamLines(photo, photo, 2)).toEqual({ worst: 0, usual: 0 });
  expect(
    seamLines(
      photo,
      image((x, y) => 107 + 3 * x + 2 * y),
      2,
    ),
  ).toEqual({ worst: 0, usual: 0 });
});

it.each([
  ["a column", image((x, y) => 100 + 3 * x + 2 * y + (x >= 10 ? 5 : 0))],
  ["a row", image((x, y) => 100 + 3 * x + 2 * y + (y >= 6 ? 5 : 0))],
])("finds one along %s, by its height", (_, tiled) => {
  expect(seamLines(photo, tiled, 2)).toEqual({ worst: 5, usual: 0 });
});

it("refuses results of two sizes", () => {
  expect(() => seamLines(photo, { ...photo, width: 12, height: 32 }, 2)).toThrow("24x16 and of 12x32");
});
