import { describe, expect, it } from "vitest";
import { degradedSquares, sha256Of } from "../../src/results/degraded.ts";

describe("degradedSquares", () => {
  const squares = degradedSquares();

  it("are 24 of each kind and scale, of the same photographs, with everything that was drawn for each", () => {
    const groups = new Map<string, string[]>();
    for (const { kind, image, draw } of squares) {
      const key = `${kind} x${draw.scale}`;
      groups.set(key, [...(groups.get(key) ?? []), image]);
      expect(draw.way.kind).toBe(kind);
      expect(draw.way).toHaveProperty("draw.seed");
      expect(draw.crop).toBeNull();
      expect(draw.augment).toEqual({ horizontal: false, vertical: false, transpose: false });
    }
    expect([...groups.keys()]).toEqual(["light x2", "light x4", "heavy x2", "heavy x4"]);
    const [first, ...others] = [...groups.values()];
    expect(new Set(first).size).toBe(24);
    for (const images of others) expect(images).toEqual(first);
  });

  it("have sides of whole low-quality pixels, and a hash each", () => {
    for (const { side, draw } of squares) expect(side % (8 * draw.scale)).toBe(0);
    expect(new Set(squares.map(({ sha256 }) => sha256)).size).toBe(squares.length);
  });
});

describe("sha256Of", () => {
  it("is that of the bytes", () => {
    // printf abc | sha256sum
    const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(sha256Of({ width: 1, height: 1, data: Uint8Array.from([97, 98, 99]) })).toBe(expected);
  });
});
