import { Device, noGrad, Rng, randn, repeat, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { DATBlock } from "../src/block.ts";
import { configFromReference } from "../src/keys.ts";
import { WindowTables } from "../src/window-tables.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const CONFIG = configFromReference({ embed_dim: 16, depth: [2], num_heads: [2], expansion_factor: 2 });
const SAMPLES = 24;

describe("DATBlock", () => {
  it.each([
    ["spatial", 0],
    ["channel", 1],
  ] as const)("leaves each of its halves out, sample by sample: %s attention", async (_, block) => {
    const init = { device, rng: new Rng(2) };
    const tables = new WindowTables(device, CONFIG.splitSize);
    const place = { group: 0, block, dropPath: 0.25 };
    const layer = new DATBlock(CONFIG, place, tables, init);
    // Equal samples: batch statistics are those of one, and samples differ by what is left out alone.
    const sample = randn(device, [1, 8, 16], new Rng(3));
    const tokens = repeat(sample, [SAMPLES, 1, 1]);
    const rows = async (x: Tensor): Promise<Float32Array[]> => {
      const values = Float32Array.from(await x.data());
      return Array.from({ length: SAMPLES }, (_, i) => values.slice(i * 128, (i + 1) * 128));
    };
    const mode = { training: true, rng: new Rng(5) };
    const out = await rows(noGrad(() => layer.forward(tokens, [2, 4], mode)));
    const close = (a: Float32Array, b: Float32Array): boolean => a.every((v, i) => Math.abs(v - b[i]!) < 1e-5);
    const distinct = out.filter((row, i) => out.findIndex((other) => close(row, other)) === i);
    expect(distinct).toHaveLength(4); // without both halves, either, none
    const [untouched] = await rows(tokens);
    expect(distinct.some((row) => close(row, untouched!))).toBe(true);
    // Kept halves are enlarged: attention's, where the feed-forward part is left out, by 4/3.
    const attended = noGrad(() =>
      layer.attn.forward(layer.norm1.forward(tokens), [2, 4], { ...mode, rng: new Rng(0) }),
    );
    const [enlarged] = await rows(noGrad(() => tokens.add(attended.mul(4 / 3))));
    expect(distinct.some((row) => close(row, enlarged!))).toBe(true);
    // Nothing is left out in inference.
    const whole = await rows(noGrad(() => layer.forward(tokens, [2, 4])));
    expect(whole.every((row) => close(row, whole[0]!))).toBe(true);
    layer.dispose();
    tables.dispose();
  });
});
