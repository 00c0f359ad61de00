import { expect, it } from "vitest";
import { chartShifts, colourChart, PATCH } from "../../src/results/chart.ts";

/** A chart as if it had been enlarged by pixel repetition, in 8 or 16 bits. */
function enlarged(
  scale: number,
  change: (level: number, x: number, y: number, c: number) => number,
  bits: 8 | 16 = 16,
) {
  const chart = colourChart();
  const width = chart.width * scale;
  const values = Array.from({ length: width * chart.height * scale * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const level = chart.data[(Math.floor(y / scale) * chart.width + Math.floor(x / scale)) * 3 + (i % 3)]!;
    return change(level, x, y, i % 3) * (bits === 8 ? 1 : 257);
  });
  return { width, height: chart.height * scale, data: bits === 8 ? Uint8Array.from(values) : Uint16Array.from(values) };
}

it("has four rows of six patches", () => {
  const { width, height, data } = colourChart();
  expect([width, height]).toEqual([6 * PATCH, 4 * PATCH]);
  const at = (x: number, y: number): number[] => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
  expect(at(0, 0)).toEqual([115, 82, 68]);
  expect(at(width - 1, PATCH - 1)).toEqual([103, 189, 170]);
  expect(at(width - 1, height - 1)).toEqual([52, 52, 52]);
});

it("finds no shift where nothing moved, and the means of what did", () => {
  expect(
    chartShifts(
      enlarged(2, (level) => level),
      2,
    ),
  ).toEqual({ largest: 0, mean: 0 });
  expect(
    chartShifts(
      enlarged(2, (level) => level, 8),
      2,
    ),
  ).toEqual({ largest: 0, mean: 0 });
  // One channel of the last patch darker by 4 in half of its pixels: its mean moves by 2, and one of 72 channels does.
  const last = enlarged(3, (level, x, y, c) => (x >= 900 && y >= 540 && c === 1 && x % 2 === 0 ? level - 4 : level));
  const { largest, mean } = chartShifts(last, 3);
  expect(largest).toBeCloseTo(2, 9);
  expect(mean).toBeCloseTo(2 / 72, 9);
  // What is as much too bright as too dark does not count: it is the mean that is compared.
  expect(
    chartShifts(
      enlarged(2, (level, x) => level + (x % 2 === 0 ? 3 : -3)),
      2,
    ).largest,
  ).toBeCloseTo(0, 9);
});
