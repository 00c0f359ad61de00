import { loadTensors } from "@deplsr/nn";
import { Device, noGrad, Rng, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { CrossAttention, CrossAttentionFusion } from "../src/cross-attention.ts";
import { FusionBlock } from "../src/fusion.ts";
import { formula } from "./published-numbers.ts";

const device = await Device.request();
afterAll(() => device.destroy());
const init = { device, rng: new Rng(5) };

const waves = (shape: readonly [number, number, number], phase: number): Tensor =>
  formula(device, shape, (a, b, c) => Math.sin(phase + 0.7 * a + 1.3 * b + 0.9 * c));

describe("CrossAttention", () => {
  it("averages the values where all keys are the same", async () => {
    const layer = new CrossAttention(4, { numHeads: 2 }, init);
    const identity = formula(device, [1, 4, 4], (_, i, j) => (i === j ? 1 : 0)).reshape([4, 4]);
    const kv = formula(device, [1, 8, 4], (_, i, j) => (i - 4 === j ? 1 : 0)).reshape([8, 4]); // keys 0, values the context
    const weights = { "kv.weight": kv, "kv.bias": device.tensor([9, 9, 9, 9, 1, 2, 3, 4]), "proj.weight": identity };
    loadTensors("test", layer.parameters(), new Map(Object.entries(weights)), { allowMissing: true });
    const context = waves([2, 5, 4], 0.2);
    const { x, attn } = noGrad(() => layer.forward(waves([2, 3, 4], 0.1), context));
    expect(attn.shape).toEqual([2, 2, 3, 5]);
    for (const weight of await attn.data()) expect(weight).toBeCloseTo(0.2, 6);
    const values = await context.data();
    const found = await x.data();
    for (let at = 0; at < found.length; at++) {
      const [b, c] = [Math.floor(at / 12), at % 4];
      const mean = [0, 1, 2, 3, 4].reduce((total, m) => total + values[(b * 5 + m) * 4 + c]! / 5, 0);
      expect(found[at]).toBeCloseTo(mean + c + 1, 5);
    }
    layer.dispose();
  });

  it("drops entries of the map, and the values' bias with them", async () => {
    const layer = new CrossAttention(4, { numHeads: 2, attnDropRate: 0.5 }, init);
    const identity = formula(device, [1, 4, 4], (_, i, j) => (i === j ? 1 : 0)).reshape([4, 4]);
    const weights = { "kv.weight": device.zeros([8, 4]), "kv.bias": device.ones([8]), "proj.weight": identity };
    loadTensors("test", layer.parameters(), new Map(Object.entries(weights)), { allowMissing: true });
    const [queries, context] = [waves([8, 50, 4], 0), waves([8, 4, 4], 1)];
    const still = await noGrad(() => layer.forward(queries, context)).x.data();
    for (const value of still) expect(value).toBeCloseTo(1, 6);
    // Every entry weighs 1/4 and is kept, doubled, or dropped: results are 0, 1/2, 1, 3/2 or 2, and 1 on average.
    const mode = { training: true, rng: new Rng(11) };
    const dropped = Array.from(await noGrad(() => layer.forward(queries, context, mode)).x.data());
    const seen = new Set(dropped.map((value) => Math.round(value * 1e4) / 1e4));
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 0.5, 1, 1.5, 2]);
    const mean = dropped.reduce((total, value) => total + value, 0) / dropped.length;
    expect(Math.abs(mean - 1)).toBeLessThan(0.1);
    layer.dispose();
  });

  it("refuses widths that do not divide", () => {
    expect(() => new CrossAttention(10, { numHeads: 4 }, init)).toThrow(
      "CrossAttention: dim 10 does not divide into 4 heads",
    );
    expect(() => new CrossAttentionFusion(8, { numHeads: 4, dimRatio: 0.75 }, init)).toThrow(
      "CrossAttentionFusion: dim 6 does not divide into 4 heads",
    );
  });
});

describe("FusionBlock", () => {
  it("takes any number of features", async () => {
    const block = new FusionBlock(8, { numHeads: 2, mlpRatio: 2, attnRatio: 0.5 }, init);
    const { x, xi, xd } = noGrad(() => block.forward(waves([2, 6, 8], 0), waves([2, 3, 8], 1), waves([2, 2, 8], 2)));
    expect([x.shape, xi.shape, xd.shape]).toEqual([
      [2, 6, 8],
      [2, 3, 8],
      [2, 2, 8],
    ]);
    expect((await x.data()).every(Number.isFinite)).toBe(true);
    block.dispose();
  });
});
