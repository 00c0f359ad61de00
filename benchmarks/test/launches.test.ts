import { Device } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { countBlocks } from "../src/block-launches.ts";

/** In inference, over 32 x 32 positions, since software adapters are slow; fewer are welcome, here and in docs/engine.md. */
const REACHED: Readonly<Record<string, number>> = {
  "block of ViT-B/32": 9,
  "DAT block of width 180, spatial": 26,
  "DAT block of width 180, channel": 25,
  "DAT block of width 180, shifted": 29,
};

it("the blocks of our transformers are as few launches as they have been", async () => {
  const device = await Device.request({ backend: "webgpu" });
  // Memory that is poisoned, as in all tests, is written by launches too.
  (device.backend as unknown as { gpu: { pool: { onFree: unknown } } }).gpu.pool.onFree = undefined;
  const counts = await countBlocks(device, 32, false);
  expect(Object.keys(counts)).toEqual(Object.keys(REACHED));
  for (const [block, forward] of Object.entries(REACHED)) {
    expect(counts[block]!.forward, block).toBeLessThanOrEqual(forward);
  }
  device.destroy();
}, 900_000);
