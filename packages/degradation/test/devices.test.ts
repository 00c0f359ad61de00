import { Device, scope, type Tensor } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  degradeSecondOrder,
  degradeSemantic,
  drawSecondOrder,
  drawSemantic,
  SECOND_ORDER_OPTIONS,
} from "../src/index.ts";
import { waveTensor } from "./waves.ts";

let cpu: Device;
let gpu: Device;
beforeAll(async () => {
  cpu = await Device.request({ backend: "cpu" });
  gpu = await Device.request({ backend: "webgpu" });
});
afterAll(() => {
  cpu.destroy();
  gpu.destroy();
});

/** Bytes of the same degradation on both devices: the share that differs by more than one level, and the mean difference in levels. */
async function compare(degrade: (device: Device) => Tensor): Promise<{ share: number; mean: number }> {
  const [a, b] = await Promise.all(
    [cpu, gpu].map(async (device) => {
      using out = scope(() => degrade(device));
      return (await out.data()).map((value) => 255 * Math.min(1, Math.max(0, value)));
    }),
  );
  const differences = Array.from(a!, (value, i) => Math.abs(value - b![i]!));
  return {
    share: differences.filter((difference) => difference > 1.01).length / differences.length,
    mean: differences.reduce((sum, difference) => sum + difference, 0) / differences.length,
  };
}

describe("a draw applied on another device", () => {
  // What differs is rounding: of a coefficient of JPEG's that lies on a tie, mostly, which moves a block by a little.
  it("gives nearly the same in the semantic-driven synthesis", async () => {
    const draws = Array.from({ length: 4 }, (_, seed) => ({ ...drawSemantic(seed), lqSize: 48 }));
    const { share, mean } = await compare((device) => degradeSemantic(waveTensor(device, 4, 96, 80), draws));
    expect(share).toBeLessThan(0.02);
    expect(mean).toBeLessThan(0.05);
  });

  it("gives nearly the same in the second-order synthesis", async () => {
    const draws = drawSecondOrder(1, 2, { ...SECOND_ORDER_OPTIONS, scale: 2, gtSize: 64 });
    const { share, mean } = await compare((device) => degradeSecondOrder(waveTensor(device, 2, 80, 76), draws).lq);
    expect(share).toBeLessThan(0.02);
    expect(mean).toBeLessThan(0.05);
  });
});
