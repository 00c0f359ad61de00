import { Device } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { countBlocks } from "../src/block-launches.ts";

/** Over 32 x 32 positions, where sums are cut otherwise than over the 64 x 64 of docs/engine.md; fewer are welcome, there and here. */
const REACHED: Readonly<Record<string, readonly [forward: number, withGradient: number]>> = {
  "block of ViT-B/32": [9, 41],
  "DAT block of width 180, spatial": [26, 283],
  "DAT block of width 180, channel": [25, 182],
  "DAT block of width 180, shifted": [29, 289],
};

it("the blocks of our transformers are as few launches as they have been", async () => {
  const device = await Device.request({ backend: "webgpu" });
  // Memory that is poisoned, as in all tests, is written by launches too.
  (device.backend as unknown as { gpu: { pool: { onFree: unknown } } }).gpu.pool.onFree = undefined;
  const counts = await countBlocks(device, 32);
  expect(Object.keys(counts)).toEqual(Object.keys(REACHED));
  for (const [block, [forward, withGradient]] of Object.entries(REACHED)) {
    expect(counts[block]!.forward, block).toBeLessThanOrEqual(forward);
    expect(counts[block]!.withGradient, block).toBeLessThanOrEqual(withGradient);
  }
  device.destroy();
}, 900_000);
