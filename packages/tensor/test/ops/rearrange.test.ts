import { beforeAll, describe, expect, it } from "vitest";
import { type Device, pixelShuffle, pixelUnshuffle, rearrange } from "../../src/index.ts";
import { checkOp, testDevice } from "../../src/testing.ts";
import { movedReference } from "../reference/rearrange.ts";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe("rearrange", () => {
  it("splits, reorders and joins", async () => {
    await checkOp("rearrange", {
      op: (x) => rearrange(x!, "b (h w) c -> b c h w", { h: 3 }),
      reference: (x) => movedReference(x!, [2, 5, 3, 4], ([b, n, c]) => [b!, c!, Math.floor(n! / 4), n! % 4]),
      inputs: [{ shape: [2, 12, 5] }],
    });
    await checkOp("rearrange", {
      op: (x) => rearrange(x!, "b c (h p) (w q) -> (b h w) (p q) c", { p: 2, q: 4 }),
      reference: (x) =>
        movedReference(x!, [2 * 3 * 2, 8, 3], ([b, c, y, z]) => [
          (b! * 3 + Math.floor(y! / 2)) * 2 + Math.floor(z! / 4),
          (y! % 2) * 4 + (z! % 4),
          c!,
        ]),
      inputs: [{ shape: [2, 3, 6, 8] }],
    });
  });

  it("drops and adds axes of size 1", () => {
    const x = device.ones([2, 1, 3]);
    expect(rearrange(x, "a 1 b -> b a").shape).toEqual([3, 2]);
    expect(rearrange(x, "a 1 b -> 1 (a b) ()").shape).toEqual([1, 6, 1]);
  });

  it("takes sizes that the shape gives as well", () => {
    expect(rearrange(device.ones([6, 2]), "(a b) c -> a b c", { a: 2, b: 3, c: 2 }).shape).toEqual([2, 3, 2]);
  });

  it("says what is wrong with a pattern", () => {
    const x = device.ones([2, 12, 5]);
    const wrong: Record<string, string> = {
      "b n c": 'rearrange: "b n c": a pattern is two lists of names around "->"',
      "b n c -> b n": 'rearrange: "b n c -> b n": axis c stands on one side only',
      "b n c -> b n c d": "axis d stands on one side only",
      "b b c -> b c": "axis b stands twice on one side",
      "b (n c -> b n c": '"(" without ")"',
      "b n) c -> b n c": '")" without "("',
      "b ((n) c) -> b n c": "groups do not nest",
      "b n 2 -> b n": '"2" is no name of an axis',
      "b n -> n b": 'rearrange: "b n -> n b" of f32[2, 12, 5]: the pattern has 2 axes, the tensor 3',
      "b (h w) c -> b h w c": "give the size of w to split dim 1 of 12",
      "b 1 c -> b c": "dim 1 of 12 is not 1",
    };
    for (const [pattern, message] of Object.entries(wrong))
      expect(() => rearrange(x, pattern), pattern).toThrow(message);
    expect(() => rearrange(x, "b (h w) c -> b h w c", { h: 5 })).toThrow("dim 1 of 12 is not 5 · w");
    expect(() => rearrange(x, "b n c -> c n b", { c: 4 })).toThrow("dim 2 of 5 is not 4");
    expect(() => rearrange(x, "b n c -> c n b", { d: 4 })).toThrow("size given for d, which is no axis of the pattern");
  });
});

describe("pixelShuffle", () => {
  it("moves channels into cells", async () => {
    for (const r of [2, 3]) {
      await checkOp("pixelShuffle", {
        op: (x) => pixelShuffle(x!, r),
        reference: (x) =>
          movedReference(x!, [2, 2, 3 * r, 5 * r], ([b, c, h, w]) => {
            const cell = c! % (r * r);
            return [b!, Math.floor(c! / (r * r)), h! * r + Math.floor(cell / r), w! * r + (cell % r)];
          }),
        inputs: [{ shape: [2, 2 * r * r, 3, 5] }],
      });
    }
  });

  it("is undone by pixelUnshuffle", async () => {
    await checkOp("pixelUnshuffle", {
      op: (x) => pixelUnshuffle(x!, 2),
      reference: (x) =>
        movedReference(x!, [2, 12, 2, 4], ([b, c, h, w]) => [b!, c! * 4 + (h! % 2) * 2 + (w! % 2), h! >> 1, w! >> 1]),
      inputs: [{ shape: [2, 3, 4, 8] }],
    });
    const x = device.tensor(
      Float32Array.from({ length: 2 * 8 * 9 }, (_, i) => i),
      [2, 8, 3, 3],
    );
    expect([...(await pixelUnshuffle(pixelShuffle(x, 2), 2).data())]).toEqual([...(await x.data())]);
  });

  it("says what does not fit", () => {
    expect(() => pixelShuffle(device.ones([1, 6, 2, 2]), 2)).toThrow(
      "pixelShuffle: 6 channels of f32[1, 6, 2, 2] are no multiple of 2² = 4",
    );
    expect(() => pixelUnshuffle(device.ones([1, 1, 3, 4]), 2)).toThrow(
      "pixelUnshuffle: the image of f32[1, 1, 3, 4] cannot be cut into 2 x 2 cells",
    );
    expect(() => pixelShuffle(device.ones([4, 4]), 2)).toThrow("pixelShuffle: takes x (…, c, h, w), got f32[4, 4]");
  });
});
