import { Device, interpolate, Rng, scope, type Tensor } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { degradeMixture, drawMixture, type MixtureOptions } from "../src/mixture.ts";
import { SECOND_ORDER_OPTIONS } from "../src/second-order-draw.ts";
import { SEMANTIC_OPTIONS } from "../src/semantic-draw.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

const OPTIONS: MixtureOptions = {
  shares: { clean: 0.3, light: 0.3, heavy: 0.4 },
  light: SEMANTIC_OPTIONS,
  heavy: { ...SECOND_ORDER_OPTIONS, scale: 2, gtSize: 64, useRot: true },
};
const SIDE = 80;

function squares(count: number): Float32Array {
  const rng = new Rng(3);
  return Float32Array.from({ length: count * 3 * SIDE * SIDE }, (_, i) => {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE) % SIDE];
    return Math.round(255 * (0.5 + 0.3 * Math.sin(x / 5) * Math.cos(y / 7) + 0.1 * rng.uniform())) / 255;
  });
}

async function pairs(count: number, draws: ReturnType<typeof drawMixture>, from = 0): Promise<[number[], number[]]> {
  const area = 3 * SIDE * SIDE;
  const data = squares(16).slice(from * area, (from + count) * area);
  const { lq, gt } = scope(() => degradeMixture(device.tensor(data, [count, 3, SIDE, SIDE]), draws));
  expect([lq.shape, gt.shape]).toEqual([
    [count, 3, 32, 32],
    [count, 3, 64, 64],
  ]);
  const read = async (images: Tensor): Promise<number[]> => {
    const values = [...(await images.data())];
    images.dispose();
    return values;
  };
  return [await read(lq), await read(gt)];
}

describe("drawMixture", () => {
  it("draws kinds by their shares, and a pair whatever the batch", () => {
    const kinds = Array.from({ length: 500 }, (_, seed) => drawMixture(seed, { count: 4, side: SIDE }, OPTIONS)).flat();
    const share = (kind: string): number => kinds.filter(({ way }) => way.kind === kind).length / kinds.length;
    expect(Math.abs(share("clean") - 0.3)).toBeLessThan(0.035);
    expect(Math.abs(share("light") - 0.3)).toBeLessThan(0.035);
    expect(Math.abs(share("heavy") - 0.4)).toBeLessThan(0.035);
    const many = drawMixture(7, { count: 8, side: SIDE }, OPTIONS);
    expect(drawMixture(7, { count: 3, side: SIDE }, OPTIONS)).toEqual(many.slice(0, 3));
    const heavy = many.flatMap(({ way }) => (way.kind === "heavy" ? [way.draw.stages[0].resize] : []));
    expect(heavy.length).toBeGreaterThan(1);
    expect(new Set(heavy.map((resize) => JSON.stringify(resize))).size).toBe(1);
  });

  it("cuts half of the pairs on the grid of JPEG's blocks, and the others anywhere", () => {
    const draws = Array.from({ length: 500 }, (_, seed) => drawMixture(seed, { count: 4, side: 112 }, OPTIONS)).flat();
    // 56 low-quality pixels a side, of which 32 are taken: 25 places, 4 of them on the grid.
    const corners = draws.map(({ crop }) => [crop!.top, crop!.left].map((place) => Math.floor(place * 25)));
    const onGrid = corners.filter((corner) => corner.every((at) => at % 8 === 0)).length / corners.length;
    expect(Math.abs(onGrid - (0.5 + (0.5 * 16) / 625))).toBeLessThan(0.045);
    expect(new Set(corners.map(([top]) => top)).size).toBe(25);
    expect(Math.max(...corners.flat())).toBe(24);
  });

  it("refuses what does not fit together", () => {
    const draw = (side: number, more: Partial<MixtureOptions>) =>
      drawMixture(0, { count: 1, side }, { ...OPTIONS, ...more });
    expect(() => draw(SIDE, { shares: { clean: 0.5, light: 0.2, heavy: 0.2 } })).toThrow(
      "drawMixture: shares [0.5, 0.2, 0.2] must be 3 shares of 1",
    );
    expect(() => draw(81, {})).toThrow("drawMixture: side 81 must be a multiple of the scale 2");
    expect(() => draw(48, {})).toThrow("drawMixture: gtSize 64 must be at most the side 48");
  });
});

describe("degradeMixture", () => {
  it("makes each pair from its own draw alone, with 256 levels", async () => {
    const draws = drawMixture(7, { count: 8, side: SIDE }, OPTIONS);
    expect(new Set(draws.map(({ way }) => way.kind)).size).toBe(3);
    const [lq, gt] = await pairs(8, draws);
    for (const value of lq) {
      expect(value >= 0 && value <= 1 && Math.abs(value * 255 - Math.round(value * 255)) < 1e-3).toBe(true);
    }
    for (const i of [0, 5]) {
      const [ownLq, ownGt] = await pairs(1, [draws[i]!], i);
      expect(lq.slice(i * 3072, (i + 1) * 3072)).toEqual(ownLq);
      expect(gt.slice(i * 12288, (i + 1) * 12288)).toEqual(ownGt);
    }
  });

  it("only makes clean pairs smaller", async () => {
    const clean = { ...OPTIONS, shares: { clean: 1, light: 0, heavy: 0 }, heavy: { ...OPTIONS.heavy, gtSize: null } };
    const [draw] = drawMixture(
      1,
      { count: 1, side: SIDE },
      { ...clean, heavy: { ...clean.heavy, useHflip: false, useRot: false } },
    );
    const image = device.tensor(squares(1), [1, 3, SIDE, SIDE]);
    const { lq, gt } = degradeMixture(image, [draw!]);
    const smaller = interpolate(image, { mode: "bicubic", size: [40, 40], antialias: true, cubicA: -0.5 });
    const expected = [...(await smaller.data())].map((value) => Math.round(Math.min(1, Math.max(0, value)) * 255));
    expect([...(await lq.data())].map((value) => Math.round(value * 255))).toEqual(expected);
    expect([...(await gt.data())]).toEqual([...squares(1)]);
  });

  it("refuses images that are no squares and draws that are not as many", () => {
    const draws = drawMixture(0, { count: 2, side: SIDE }, OPTIONS);
    expect(() => degradeMixture(device.zeros([2, 3, 80, 82]), draws)).toThrow(
      "degradeMixture: images [2, 3, 80, 82] must be (b, 3, h, h) with h a multiple of the scale 2 and one draw each, got 2 draws",
    );
    expect(() => degradeMixture(device.zeros([1, 3, 80, 80]), draws)).toThrow("one draw each, got 2 draws");
  });
});
