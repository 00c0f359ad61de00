import { describe, expect, it } from "vitest";
import { imresize } from "../src/imresize.ts";
import { waves } from "./waves.ts";

const image = waves(90, 0);
const channels = [0, 1, 2].map((c) => ({
  width: image.width,
  height: image.height,
  data: Float64Array.from({ length: image.width * image.height }, (_, i) => image.data[3 * i + c]! / 255),
}));

describe("imresize", () => {
  it.each([
    [0.5, 100, 105, 15748.7112],
    [0.25, 50, 53, 3973.1223],
    [2, 400, 420, 251979.3793],
    [1 / 3, 67, 70, 7034.4789],
  ])("by %d gives MATLAB's %d x %d pixels", (scale, height, width, sum) => {
    const resized = channels.map((plane) => imresize(plane, scale));
    for (const plane of resized) expect([plane.height, plane.width]).toEqual([height, width]);
    const total = resized.reduce((all, { data }) => data.reduce((a, b) => a + b, all), 0);
    expect(Math.abs(total / sum - 1)).toBeLessThan(1e-7); // the sums are of f32 values
  });

  it("gives MATLAB's pixels at half the size", () => {
    const resized = channels.map((plane) => imresize(plane, 0.5));
    const pixel = (y: number, x: number): number[] => resized.map(({ data, width }) => data[y * width + x]!);
    const near = (values: readonly number[]): unknown[] => values.map((value) => expect.closeTo(value, 6));
    expect(pixel(0, 0)).toEqual(near([0.6169405, 0.9026031, 0.8187819]));
    expect(pixel(10, 20)).toEqual(near([0.4307015, 0.2601168, 0.3100144]));
  });

  it("keeps a plane that is flat, down to one pixel", () => {
    const flat = { width: 5, height: 1, data: new Float64Array(5).fill(0.25) };
    const { width, height, data } = imresize(flat, 0.2);
    expect([width, height]).toEqual([1, 1]);
    expect(data[0]).toBeCloseTo(0.25, 15);
  });
});
