import type { Image } from "@deplsr/metrics";
import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { gridExcess, powerSpectrum } from "../../src/results/spectrum.ts";

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

describe("gridExcess", () => {
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
    expect(gridExcess(image, 2)).toBeCloseTo(expected, 3);
  });

  it("is about 1 for noise, and far above where every second or fourth pixel is brighter", () => {
    const plain = noise(7, 80);
    for (const scale of [2, 4]) {
      expect(gridExcess(grey(256, 256, plain), scale)).toBeGreaterThan(0.5);
      expect(gridExcess(grey(256, 256, plain), scale)).toBeLessThan(1.7);
      const brighter = grey(256, 256, (x, y) => plain(x, y) + (x % scale === 0 && y % scale === 0 ? 20 : 0));
      expect(gridExcess(brighter, scale)).toBeGreaterThan(20);
    }
  });

  it("looks at the middle of an image, and at none that is too small or flat", () => {
    const level = noise(9, 80);
    const middle = grey(64, 64, level);
    const around = grey(100, 90, (x, y) => {
      const [column, row] = [x - 18, y - 13];
      return column >= 0 && column < 64 && row >= 0 && row < 64 ? middle.data[3 * (row * 64 + column)]! : 3;
    });
    expect(gridExcess(around, 2)).toBe(gridExcess(middle, 2));
    expect(gridExcess(grey(63, 200, level), 2)).toBeNull();
    expect(
      gridExcess(
        grey(64, 64, () => 7),
        2,
      ),
    ).toBeNull();
  });
});
