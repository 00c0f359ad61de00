import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Image, writeImage } from "../../../apps/cli/src/data/image.ts";
import { halved, middle, TEST_SETS } from "../../src/results/sets.ts";

function image(width: number, height: number, level: (x: number, y: number) => number): Image {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return level(pixel % width, Math.floor(pixel / width));
  });
  return { width, height, data };
}

describe("middle", () => {
  it("is on multiples of the scale, and all of an image that is smaller", () => {
    expect(middle({ width: 101, height: 60 }, 50, 4)).toEqual({ left: 24, top: 4, width: 48, height: 48 });
    expect(middle({ width: 30, height: 23 }, 50, 4)).toEqual({ left: 0, top: 0, width: 28, height: 20 });
    expect(middle({ width: 7, height: 9 }, Number.POSITIVE_INFINITY, 2)).toEqual({
      left: 0,
      top: 0,
      width: 6,
      height: 8,
    });
  });
});

describe("halved", () => {
  it("is the mean of every four pixels", () => {
    const levels = [
      [0, 2, 10, 10],
      [4, 6, 11, 11],
    ];
    const small = halved(image(4, 2, (x, y) => levels[y]![x]!));
    expect([small.width, small.height, ...small.data]).toEqual([2, 1, 3, 3, 3, 11, 11, 11]);
  });
});

describe("TEST_SETS", () => {
  let device: Device;
  const folder = mkdtempSync(join(tmpdir(), "deplsr-sets-"));
  beforeAll(async () => {
    device = await Device.request({ backend: "cpu", threads: 1 });
  });
  afterAll(() => {
    device.destroy();
    rmSync(folder, { recursive: true });
  });
  const options = () => ({ folder, device, side: 32, say: () => {} });

  it("makes low-quality images where none is stored, and takes those that are", async () => {
    const ramp = image(70, 50, (x, y) => x + 2 * y);
    await writeImage(join(folder, "kodak", "a.png"), ramp);
    await writeImage(join(folder, "bsd100", "HR", "a.png"), ramp);
    await writeImage(
      join(folder, "bsd100", "LR_bicubic", "X2", "ax2.png"),
      image(35, 25, (x, y) => 100 + x + y),
    );
    const [made] = TEST_SETS.kodak!(2, options())!.cases;
    const { lq, gt } = await made!.load();
    // The middle begins at (18, 8) of the original; shrinking keeps a ramp, at its pixels' centres.
    expect([gt!.width, gt!.height, gt!.data[0]]).toEqual([32, 32, 18 + 16]);
    expect([lq.width, lq.height]).toEqual([16, 16]);
    for (const [x, y] of [
      [0, 0],
      [5, 9],
      [15, 15],
    ] as const) {
      const exact = 18 + 2 * x + 0.5 + 2 * (8 + 2 * y + 0.5);
      expect(Math.abs(lq.data[(y * 16 + x) * 3]! - exact)).toBeLessThanOrEqual(1);
    }
    const stored = await TEST_SETS.bsd100!(2, options())!.cases[0]!.load();
    expect(stored.lq.data[0]).toBe(100 + 9 + 4);
  });

  it("halves the wide lens's picture, and has no pairs at other scales", async () => {
    await writeImage(
      join(folder, "city100", "nikon", "001H.png"),
      image(40, 40, () => 9),
    );
    await writeImage(
      join(folder, "city100", "nikon", "001L.png"),
      image(40, 40, () => 50),
    );
    const { lq, gt } = await TEST_SETS.city100!(2, options())!.cases[0]!.load();
    expect([gt!.width, gt!.data[0], lq.width, lq.data[0]]).toEqual([32, 9, 16, 50]);
    expect(TEST_SETS.city100!(4, options())).toBeNull();
  });

  it("has no originals of real images", async () => {
    await writeImage(
      join(folder, "real_lr", "a.png"),
      image(40, 12, () => 9),
    );
    const { lq, gt } = await TEST_SETS.realsrset!(4, options())!.cases[0]!.load();
    expect([gt, lq.width, lq.height]).toEqual([null, 16, 12]);
  });

  it("is empty where a folder is missing", () => {
    expect(TEST_SETS.set5!(2, options())!.cases).toEqual([]);
    expect(TEST_SETS.light!(2, options())!.cases).toEqual([]);
  });
});
