import { describe, expect, test } from "vitest";
import { enlarged, overlaid, painted, stretched, viridis } from "../../src/visualize/colour.ts";

describe("colours of values", () => {
  test("go from dark violet to yellow, lighter all the way", () => {
    expect(viridis(0)).toEqual([68, 1, 84]);
    expect(viridis(1)).toEqual([253, 231, 37]);
    expect(viridis(-1)).toEqual(viridis(0));
    const luma = Array.from({ length: 21 }, (_, i) => viridis(i / 20)).map(
      ([r, g, b]) => 0.3 * r + 0.59 * g + 0.11 * b,
    );
    for (const [i, value] of luma.slice(1).entries()) expect(value).toBeGreaterThan(luma[i]!);
  });

  test("stretch to all of the range, or to its least where all are equal", () => {
    const plane = { width: 2, height: 1, values: [3, 7] };
    expect([...painted(stretched(plane)).data]).toEqual([...viridis(0), ...viridis(1)]);
    // What f32 rounds is no difference.
    for (const same of [
      [5, 5],
      [5, 5.00001],
    ]) {
      expect(Array.from(stretched({ ...plane, values: same }).values)).toEqual([0, 0]);
    }
    const outlier = { width: 4, height: 1, values: [0, 4, 6, 1000] };
    expect(Array.from(stretched(outlier, 0.25).values)).toEqual([-2, 0, 1, 498]);
  });

  test("are enlarged smoothly and laid over a picture's grey", () => {
    expect(Array.from(enlarged({ width: 2, height: 1, values: [0, 1] }, 4, 1).values)).toEqual([0, 0.25, 0.75, 1]);
    const white = { width: 4, height: 4, data: new Uint8Array(48).fill(255) };
    const over = overlaid({ width: 2, height: 2, values: [0, 1, 0, 1] }, white);
    expect([over.width, over.height]).toEqual([4, 4]);
    expect([...over.data.slice(0, 3)]).toEqual(viridis(0).map((level) => Math.round(0.6 * level + 0.4 * 255)));
    // An even plane prefers nothing: it has no colour, not that of the least.
    expect(overlaid({ width: 2, height: 1, values: [0.5, 0.5] }, white)).toEqual(white);
  });
});
