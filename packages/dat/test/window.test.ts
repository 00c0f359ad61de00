import { describe, expect, it } from "vitest";
import { paddedSize, relativeOffsets, relativePositionIndex, shiftMask } from "../src/window.ts";

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((total, value) => total + value, 0);
const masked = (mask: Float32Array): number => mask.filter((value) => value === -100).length;

describe("relativePositionIndex", () => {
  it("counts offsets of 8x32 windows as the reference does", () => {
    const index = relativePositionIndex([8, 32]);
    expect(index).toHaveLength(256 * 256);
    expect([...index.slice(0, 3)]).toEqual([472, 471, 470]);
    expect(index[32]).toBe(409);
    expect(index[255 * 256]).toBe(944);
    expect(sum(index)).toBe(30_932_992);
  });

  it("counts offsets of 32x8 windows as the reference does", () => {
    const index = relativePositionIndex([32, 8]);
    expect(index[0]).toBe(472);
    expect(index[8]).toBe(457);
    expect(sum(index)).toBe(30_932_992);
  });

  it("points at the offset of the two tokens", () => {
    for (const window of [
      [1, 1],
      [2, 3],
      [5, 2],
    ] as const) {
      const [hs, ws] = window;
      const n = hs * ws;
      const offsets = relativeOffsets(window);
      relativePositionIndex(window).forEach((at, pair) => {
        const [i, j] = [Math.floor(pair / n), pair % n];
        expect(offsets[2 * at]).toBe(Math.floor(i / ws) - Math.floor(j / ws));
        expect(offsets[2 * at + 1]).toBe((i % ws) - (j % ws));
      });
    }
  });
});

describe("relativeOffsets", () => {
  it("lists heights first", () => {
    const offsets = relativeOffsets([8, 32]);
    expect(offsets).toHaveLength(945 * 2);
    expect([...offsets.slice(0, 4)]).toEqual([-7, -31, -7, -30]);
    expect([...offsets.slice(-2)]).toEqual([7, 31]);
  });
});

describe("shiftMask", () => {
  it("hides 311,296 pairs in either branch of a 64x64 image", () => {
    for (const [window, shift] of [
      [
        [8, 32],
        [4, 16],
      ],
      [
        [32, 8],
        [16, 4],
      ],
    ] as const) {
      const mask = shiftMask([64, 64], window, shift);
      expect(mask).toHaveLength(16 * 256 * 256);
      expect(masked(mask)).toBe(311_296);
      expect(sum(mask)).toBe(-100 * 311_296);
    }
  });

  it("hides exactly the pairs that were not neighbours before the shift", () => {
    const [height, width, hs, ws, shiftH, shiftW] = [4, 12, 2, 4, 1, 2];
    const mask = shiftMask([height, width], [hs, ws], [shiftH, shiftW]);
    const n = hs * ws;
    const across = width / ws;
    // Where token t of window i comes from: windows of the unshifted image, cut at the borders that the shift moves across.
    const wraps = (window: number, token: number): string => {
      const row = Math.floor(window / across) * hs + Math.floor(token / ws);
      const column = (window % across) * ws + (token % ws);
      return `${row + shiftH >= height} ${column + shiftW >= width}`;
    };
    mask.forEach((value, at) => {
      const window = Math.floor(at / (n * n));
      const apart = wraps(window, Math.floor(at / n) % n) !== wraps(window, at % n);
      expect(value).toBe(apart ? -100 : 0);
    });
  });

  it("hides nothing along an axis that is not shifted", () => {
    expect(masked(shiftMask([4, 4], [1, 4], [0, 0]))).toBe(0);
    expect(masked(shiftMask([4, 8], [1, 4], [0, 2]))).toBe(4 * 2 * 2 * 2);
  });
});

describe("paddedSize", () => {
  it("reaches the next size that windows of both shapes tile", () => {
    expect(paddedSize([13, 10], [4, 8])).toEqual([16, 16]);
    expect(paddedSize([64, 32], [8, 32])).toEqual([64, 32]);
    expect(paddedSize([1, 1], [8, 8])).toEqual([8, 8]);
    expect(paddedSize([10, 25], [8, 12])).toEqual([24, 48]);
  });
});
