import { Device } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { countBlocks, countLightBlocks } from "../src/block-launches.ts";

/** In inference, over 32 x 32 positions, since software adapters are slow; fewer are welcome, here and in docs/engine.md. */
const REACHED: Readonly<Record<string, number>> = {
  "block of ViT-B/32": 7,
  "DAT block of width 180, spatial": 21,
  "DAT block of width 180, channel": 24,
  "DAT block of width 180, shifted": 24,
};

/** With all gradients, two images of 32 x 32 positions. */
const REACHED_WITH_GRADIENTS: Readonly<Record<string, number>> = {
  "DAT block of width 60, spatial": 98,
  "DAT block of width 60, channel": 91,
  "DAT block of width 60, shifted": 104,
};

/** A device whose memory is not poisoned, as in all tests: that takes launches too. */
async function plainDevice(): Promise<Device> {
  const device = await Device.request({ backend: "webgpu" });
  (device.backend as unknown as { gpu: { pool: { onFree: unknown } } }).gpu.pool.onFree = undefined;
  return device;
}

it("the blocks of our transformers are as few launches as they have been", async () => {
  const device = await plainDevice();
  const counts = await countBlocks(device, 32, false);
  expect(Object.keys(counts)).toEqual(Object.keys(REACHED));
  for (const [block, forward] of Object.entries(REACHED)) {
    expect(counts[block]!.forward, block).toBeLessThanOrEqual(forward);
  }
  device.destroy();
}, 900_000);

it("and so they are with their gradients", async () => {
  const device = await plainDevice();
  const counts = await countLightBlocks(device, 32);
  expect(Object.keys(counts)).toEqual(Object.keys(REACHED_WITH_GRADIENTS));
  for (const [block, launches] of Object.entries(REACHED_WITH_GRADIENTS)) {
    expect(counts[block]!.withGradient, block).toBeLessThanOrEqual(launches);
  }
  device.destroy();
}, 900_000);
