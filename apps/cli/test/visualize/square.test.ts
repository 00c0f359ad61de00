import { squaresForPrompt } from "@deplsr/restore";
import { describe, expect, test } from "vitest";
import { crop } from "../../src/data/crop.ts";
import { framed, squareOf } from "../../src/visualize/square.ts";
import { picture } from "../pictures.ts";

const photo = picture(60, 50);

describe("the square that is shown", () => {
  test("is the one in the middle of those that SRCLIP sees at native resolution, or another one", () => {
    const { planes, image, part } = squareOf(photo, 48, "crop", undefined);
    expect(planes).toEqual(squaresForPrompt(photo, 48, "crop")[0]);
    expect(image).toEqual(crop(photo, part!));
    const other = squareOf(photo, 16, "crop", "5, 2");
    expect(other.image).toEqual(crop(photo, { left: 5, top: 2, width: 16, height: 16 }));
  });

  test("is all of the photograph where SRCLIP sees that, or where it is too small", () => {
    for (const [size, fit] of [
      [48, "squash"],
      [64, "crop"],
    ] as const) {
      const { planes, image, part } = squareOf(photo, size, fit, undefined);
      expect([part, image.width, image.height]).toEqual([null, size, size]);
      expect(planes).toEqual(squaresForPrompt(photo, size, "squash")[0]);
      expect(() => squareOf(photo, size, fit, "0,0")).toThrow("there is nothing to choose");
    }
  });

  test("is framed on the photograph, which stays as it is inside", () => {
    const part = { left: 10, top: 12, width: 16, height: 16 };
    const marked = framed(photo, part);
    expect(crop(marked, part)).toEqual(crop(photo, part));
    expect([...crop(marked, { left: 9, top: 12, width: 1, height: 1 }).data]).toEqual([255, 255, 255]);
    expect([...crop(marked, { left: 8, top: 12, width: 1, height: 1 }).data]).toEqual([0, 0, 0]);
  });
});
