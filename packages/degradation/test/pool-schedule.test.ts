import { Device, Rng } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TrainingPairPool } from "../src/pair-pool.ts";
import { PoolSchedule } from "../src/pool-schedule.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

describe("PoolSchedule", () => {
  it("names the pairs that a TrainingPairPool with the same generator gives", async () => {
    const schedule = new PoolSchedule(12, 4, new Rng(5));
    const pool = new TrainingPairPool(12, new Rng(5).fork("pool"));
    for (let step = 1; step <= 30; step++) {
      const incoming = [0, 1, 2, 3].map((i) => (step - 1) * 4 + i);
      using images = device.tensor(incoming, [4, 1, 1, 1]);
      const { lq, gt } = pool.exchange({ lq: images, gt: images });
      expect(schedule.at(step)).toEqual({ numbers: [...(await lq.data())], leave: step > 3 });
      if (lq !== images) {
        lq.dispose();
        gt.dispose();
      }
    }
    pool.dispose();
  });

  it("is the same from any step on, and knows what the pool holds", () => {
    const whole = new PoolSchedule(6, 2, new Rng(1));
    const batches = Array.from({ length: 50 }, (_, i) => whole.at(i + 1));
    const late = new PoolSchedule(6, 2, new Rng(1));
    expect(late.at(40)).toEqual(batches[39]);
    expect(late.at(41)).toEqual(batches[40]);
    expect(late.at(7)).toEqual(batches[6]);
    const given = new Set(batches.flatMap(({ numbers, leave }) => (leave ? numbers : [])));
    const held = Array.from({ length: 100 }, (_, i) => i).filter((number) => whole.holds(number));
    expect(held).toHaveLength(6);
    expect(held.every((number) => !given.has(number))).toBe(true);
    expect(given.size + held.length).toBe(100);
  });

  it("refuses a size that is no multiple of the batch", () => {
    expect(() => new PoolSchedule(7, 2, new Rng(0))).toThrow("PoolSchedule: size 7 must be a multiple of the batch 2");
    expect(() => new PoolSchedule(0, 2, new Rng(0))).toThrow("PoolSchedule: size 0 must be a multiple of the batch 2");
  });
});
