import { Rng, type Tensor } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { fans, kaimingUniform, normal, truncNormal, uniform, xavierUniform } from "../src/index.ts";

const device = await testDevice();

async function statistics(x: Tensor): Promise<{ mean: number; std: number; min: number; max: number }> {
  const values = Array.from(await x.data());
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance), min: Math.min(...values), max: Math.max(...values) };
}

const SHAPE = [100, 150];

describe("initial values", () => {
  it("are the same for the same seed", async () => {
    const draw = (seed: number): Promise<ArrayLike<number>> => normal([33], 1, { device, rng: new Rng(seed) }).data();
    expect(await draw(4)).toEqual(await draw(4));
    expect(await draw(4)).not.toEqual(await draw(5));
  });

  it("are zeros of a model that is about to be loaded, and draw nothing", async () => {
    const init = { device, rng: new Rng(4), blank: true };
    for (const tensor of [uniform([9], 1, init), normal([9], 1, init), truncNormal([9], 1, init, { min: 0, max: 1 })]) {
      expect([...(await tensor.data())]).toEqual(new Array(9).fill(0));
    }
    expect(init.rng.uniform()).toBe(new Rng(4).uniform());
  });

  it.each([
    ["uniform", (rng: Rng) => uniform(SHAPE, 0.3, { device, rng }), 0.3],
    ["kaimingUniform", (rng: Rng) => kaimingUniform(SHAPE, { device, rng }), 1 / Math.sqrt(150)],
    ["kaimingUniform a=0", (rng: Rng) => kaimingUniform(SHAPE, { device, rng }, 0), Math.sqrt(6 / 150)],
    ["xavierUniform", (rng: Rng) => xavierUniform(SHAPE, { device, rng }), Math.sqrt(6 / 250)],
  ] as const)("%s fills its bounds evenly", async (_, make, bound) => {
    const { mean, std, min, max } = await statistics(make(new Rng(2)));
    expect(Math.abs(mean)).toBeLessThan(0.02 * bound);
    expect(Math.abs(std / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.02);
    expect(max).toBeLessThanOrEqual(bound);
    expect(min).toBeGreaterThanOrEqual(-bound);
    expect(max - min).toBeGreaterThan(1.99 * bound);
  });

  it("normal has its deviation", async () => {
    const { mean, std } = await statistics(normal(SHAPE, 0.5, { device, rng: new Rng(3) }));
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(std / 0.5 - 1)).toBeLessThan(0.02);
  });

  it("truncNormal is cut at its bounds", async () => {
    const wide = await statistics(truncNormal(SHAPE, 0.02, { device, rng: new Rng(3) }));
    expect(Math.abs(wide.std / 0.02 - 1)).toBeLessThan(0.02);
    const { min, max, std } = await statistics(truncNormal(SHAPE, 1, { device, rng: new Rng(3) }, { min: -1, max: 2 }));
    expect(min).toBeGreaterThanOrEqual(-1);
    expect(max).toBeLessThanOrEqual(2);
    // Deviation of a standard normal cut at −1 and 2, from its formula.
    expect(Math.abs(std - 0.7209)).toBeLessThan(0.02);
    expect(() => truncNormal([1], 1, { device, rng: new Rng(1) }, { min: 1, max: 0 })).toThrow(
      "min 1 must be below max 0",
    );
  });

  it("counts the inputs and outputs of a convolution", () => {
    expect(fans([8, 3, 5, 5])).toEqual({ fanIn: 75, fanOut: 200 });
  });
});
