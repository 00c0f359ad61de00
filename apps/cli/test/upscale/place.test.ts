import { linkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FoundPhoto } from "../../src/photo/find.ts";
import { type Naming, Originals, placesOf, sizeName } from "../../src/upscale/place.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const NAMING: Naming = { folder: "out", suffix: "_x{scale}", scale: "2", ending: () => ".png" };

function found(name: string): FoundPhoto {
  return { path: join("in", name), name, listed: true };
}

function places(names: readonly string[], naming: Partial<Naming> = {}): string[] {
  return placesOf(names.map(found), { ...NAMING, ...naming });
}

describe("placesOf", () => {
  test("names are the photos', with the suffix and the format's ending, in their sub-folders", () => {
    expect(places(["a.jpg", "sub/deep/b.c.tif", "no-ending"])).toEqual([
      join("out", "a_x2.png"),
      join("out", "sub", "deep", "b.c_x2.png"),
      join("out", "no-ending_x2.png"),
    ]);
    expect(places(["a.jpg"], { suffix: "-{scale}-{scale}", scale: "1200w" })).toEqual([
      join("out", "a-1200w-1200w.png"),
    ]);
    expect(places(["a.jpg"], { suffix: "" })).toEqual([join("out", "a.png")]);
    // A $ means nothing here.
    expect(places(["$&.jpg"], { suffix: "$1{scale}" })).toEqual([join("out", "$&$12.png")]);
  });

  test("photos of one stem get their endings into their names, those in other folders do not", () => {
    expect(places(["a.jpg", "a.png", "b.jpg", "sub/a.jpg"])).toEqual(
      ["a-jpg_x2.png", "a-png_x2.png", "b_x2.png", join("sub", "a_x2.png")].map((name) => join("out", name)),
    );
    // Each keeps its own ending: nothing clashes.
    const ending = ({ name }: FoundPhoto): string => (name.endsWith("jpg") ? ".jpg" : ".png");
    expect(places(["a.jpg", "a.png"], { ending })).toEqual([join("out", "a_x2.jpg"), join("out", "a_x2.png")]);
  });

  test("names that differ in upper case only clash, and what still does is numbered", () => {
    expect(places(["A.jpg", "a.JPG", "a.png"])).toEqual(
      ["A-jpg_x2.png", "a-jpg-2_x2.png", "a-png_x2.png"].map((name) => join("out", name)),
    );
    // Named from two folders, bare.
    expect(places(["a.jpg", "a.jpg", "a.jpg"])).toEqual(
      ["a-jpg_x2.png", "a-jpg-2_x2.png", "a-jpg-3_x2.png"].map((name) => join("out", name)),
    );
  });

  test("a mark never takes the name of another photo", () => {
    const all = places(["a.jpg", "a.png", "a-jpg.webp", "a-png.webp"]);
    expect(new Set(all).size).toBe(4);
  });
});

test("sizes are named by what was asked for, or by the network's scale", () => {
  expect(sizeName({}, 4)).toBe("4");
  expect(sizeName({ scale: 1.5 }, 4)).toBe("1.5");
  expect([{ width: 12 }, { height: 8 }, { width: 12, height: 8 }].map((size) => sizeName(size, 4))).toEqual([
    "12w",
    "8h",
    "12x8",
  ]);
});

describe("Originals", () => {
  test("are recognised under their own names, through links, and not elsewhere", async () => {
    const folder = temporaryFolder();
    const [photo, other] = [join(folder, "a.jpg"), join(folder, "b.jpg")];
    writeFileSync(photo, "photo");
    writeFileSync(other, "photo");
    symlinkSync(photo, join(folder, "soft.png"));
    linkSync(photo, join(folder, "hard.png"));
    const originals = await Originals.of([
      { path: photo, name: "a.jpg", listed: false },
      { path: "-", name: "stdin", listed: false },
    ]);
    await originals.refuse(other);
    await originals.refuse(join(folder, "none.png"));
    await expect(originals.refuse(photo)).rejects.toThrow(
      `upscale: ${photo} is the photograph itself: choose another --out or --suffix`,
    );
    for (const link of ["soft.png", "hard.png"])
      await expect(originals.refuse(join(folder, link))).rejects.toThrow(
        `upscale: ${join(folder, link)} is the photograph ${photo}: choose another --out or --suffix`,
      );
  });
});
