import type { Image } from "@deplsr/metrics";
import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { gridPattern, powerSpectrum } from "../../src/results/spectrum.ts";

const SIDE = 64;

/** A grey image of these levels. */
function grey(width: number, height: number, level: (x: number, y: number) => number): Image {
  const levels = Uint8Array.from({ length: width * height }, (_, i) => level(i % width, Math.floor(i / width)));
  return { width, height, data: Uint8Array.from({ length: 3 * levels.length }, (_, i) => levels[Math.floor(i / 3)]!) };
}

/** The definition, bin by bin. */
function powerOf(values: ArrayLike<number>, side: number, v: number, u: number): number {
  let [re, im] = [0, 0];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const angle = (-2 * Math.PI * (u * x + v * y)) / side;
      re += values[y * side + x]! * Math.cos(angle);
      im += values[y * side + x]! * Math.sin(angle);
    }
  }
  return re * re + im * im;
}

function noise(seed: number, spread: number): (x: number, y: number) => number {
  const rng = new Rng(seed);
  return () => Math.round(128 + spread * (rng.uniform() - 0.5));
}

describe("powerSpectrum", () => {
  it("is that of the definition", () => {
    const rng = new Rng(1);
    const values = Float64Array.from({ length: 256 }, () => rng.uniform());
    const power = powerSpectrum(values, 16);
    for (let i = 0; i < 256; i++) expect(power[i]).toBeCloseTo(powerOf(values, 16, Math.floor(i / 16), i % 16), 8);
  });
});

describe("gridPattern", () => {
  it("is the mean of three ratios at scale 2, as they are computed by the definition", () => {
    const image = grey(SIDE, SIDE, noise(5, 60));
    // Luma of grey in studio range.
    const values = Array.from({ length: SIDE * SIDE }, (_, i) => 16 + (219 * image.data[3 * i]!) / 255);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const hann = (i: number): number => Math.sin((Math.PI * i) / SIDE) ** 2;
    const faded = values.map((value, i) => (value - mean) * hann(Math.floor(i / SIDE)) * hann(i % SIDE));
    const ratio = (row: number, column: number): number => {
      const [near, ring]: [number[], number[]] = [[], []];
      for (let dy = -8; dy <= 8; dy++) {
        for (let dx = -8; dx <= 8; dx++) {
          const away = Math.max(Math.abs(dx), Math.abs(dy));
          if (away > 1 && away < 4) continue;
          (away < 4 ? near : ring).push(powerOf(faded, SIDE, row + dy, column + dx));
        }
      }
      const average = (list: number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
      return average(near) / average(ring);
    };
    const expected = (ratio(0, 32) + ratio(32, 0) + ratio(32, 32)) / 3;
    expect(gridPattern(image, 2)?.excess).toBeCloseTo(expected, 3);
  });

  it("is near 1 for noise, of few bins as it is, and far above where every second or fourth pixel is brighter", () => {
    const plain = noise(7, 80);
    for (const scale of [2, 4]) {
      const { excess } = gridPattern(grey(256, 256, plain), scale)!;
      expect(excess).toBeGreaterThan(0.5);
      expect(excess).toBeLessThan(2.5);
      const brighter = grey(256, 256, (x, y) => plain(x, y) + (x % scale === 0 && y % scale === 0 ? 20 : 0));
      expect(gridPattern(brighter, scale)!.excess).toBeGreaterThan(10);
    }
  });

  it("tells the size of a pattern in levels of luma", () => {
    // A checkerboard of ±4 grey levels and noise that is much weaker: luma is 219 / 255 of grey.
    const weak = noise(3, 6);
    const board = grey(256, 256, (x, y) => weak(x, y) + ((x + y) % 2 === 0 ? 4 : -4));
    expect(gridPattern(board, 2)!.levels).toBeCloseTo((4 * 219) / 255, 1);
    // Every fourth pixel along both axes 32 brighter: the mean square of what is no mean is 32² / 16 (1 - 1 / 16).
    const dots = grey(256, 256, (x, y) => weak(x, y) + (x % 4 === 1 && y % 4 === 2 ? 32 : 0));
    expect(gridPattern(dots, 4)!.levels).toBeCloseTo((Math.sqrt((32 ** 2 / 16) * (15 / 16)) * 219) / 255, 1);
    expect(gridPattern(grey(256, 256, weak), 2)!.levels).toBeLessThan(0.1);
  });

  it("looks at the middle of an image, and at none that is too small or flat", () => {
    const level = noise(9, 80);
    const middle = grey(64, 64, level);
    const around = grey(100, 90, (x, y) => {
      const [column, row] = [x - 18, y - 13];
      return column >= 0 && column < 64 && row >= 0 && row < 64 ? middle.data[3 * (row * 64 + column)]! : 3;
    });
    expect(gridPattern(around, 2)).toEqual(gridPattern(middle, 2));
    expect(gridPattern(grey(63, 200, level), 2)).toBeNull();
    expect(
      gridPattern(
        grey(64, 64, () => 7),
        2,
      ),
    ).toBeNull();
  });
});
