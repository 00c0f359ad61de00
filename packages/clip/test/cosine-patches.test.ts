import { Device, Rng } from "@deplsr/tensor";
import { afterAll, expect, it } from "vitest";
import { clipConfig, startFromCosines, VisionTransformer } from "../src/index.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const P = 4;
function tower(width: number): VisionTransformer {
  const config = clipConfig({
    embedDim: 8,
    quickGelu: false,
    vision: { imageSize: 8, patchSize: P, width, layers: 1, headWidth: 8, mlpRatio: 2 },
    text: { contextLength: 8, vocabSize: 16, width: 8, heads: 1, layers: 1, mlpRatio: 2 },
  });
  return VisionTransformer.make(config, { device, rng: new Rng(1) });
}

it("makes filters that are orthogonal, one for each wave, and louder with their frequency", async () => {
  const full = tower(48);
  startFromCosines(full);
  const weight = await full.conv1.weight.data();
  const row = (i: number): number[] => [...weight.slice(i * 3 * P * P, (i + 1) * 3 * P * P)];
  const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  for (let i = 0; i < 48; i++) {
    for (let j = 0; j < i; j++) expect(dot(row(i), row(j))).toBeCloseTo(0, 4);
  }
  // Grey waves (each colour the same), from the mean on; then those that grey images do not show in.
  const lengths = Array.from({ length: 16 }, (_, i) => Math.sqrt(dot(row(i), row(i))));
  expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  expect(lengths[0]).toBeCloseTo(1, 5);
  expect(lengths[15]).toBeCloseTo(4 * Math.hypot(3, 3), 4);
  for (let i = 0; i < 48; i++) {
    const [r, g, b] = [0, 1, 2].map((c) => row(i).slice(c * P * P, (c + 1) * P * P));
    if (i < 16) expect([g, b]).toEqual([r, r]);
    else for (const [k, value] of r!.entries()) expect(value + g![k]! + b![k]!).toBeCloseTo(0, 5);
  }
});

it("takes the lowest waves where there are fewer filters, and leaves those beyond all waves", async () => {
  const [few, many] = [tower(8), tower(56)];
  const before = await many.conv1.weight.data();
  startFromCosines(few);
  startFromCosines(many);
  const [first, all] = [await few.conv1.weight.data(), await many.conv1.weight.data()];
  expect([...first]).toEqual([...all.slice(0, first.length)]);
  expect([...all.slice(48 * 48)]).toEqual([...before.slice(48 * 48)]);
});
