import { Device, Rng, scope } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TrainingPairPool } from "../src/pair-pool.ts";

let device: Device;
beforeAll(async () => {
  device = await Device.request();
});
afterAll(() => device.destroy());

/** Puts a batch of pairs that carry numbers in, and tells the numbers that come out. */
async function exchange(pool: TrainingPairPool, numbers: readonly number[]): Promise<number[]> {
  const b = numbers.length;
  const { lq, gt } = scope(() =>
    pool.exchange({
      lq: device.tensor(numbers, [b, 1, 1, 1]).expand([b, 3, 2, 2]),
      gt: device.tensor(numbers, [b, 1, 1, 1]).expand([b, 3, 4, 4]),
    }),
  );
  expect([lq.shape, gt.shape]).toEqual([
    [b, 3, 2, 2],
    [b, 3, 4, 4],
  ]);
  const [small, large] = [await lq.data(), await gt.data()];
  lq.dispose();
  gt.dispose();
  return numbers.map((_, i) => {
    const pair = [...small.slice(i * 12, (i + 1) * 12), ...large.slice(i * 48, (i + 1) * 48)];
    expect(new Set(pair).size).toBe(1); // both images are whole and belong together
    return pair[0]!;
  });
}

/** Batches of `b` numbers from `first` on. */
async function run(pool: TrainingPairPool, b: number, count: number, first = 0): Promise<number[][]> {
  const out: number[][] = [];
  for (let n = 0; n < count; n++)
    out.push(
      await exchange(
        pool,
        Array.from({ length: b }, (_, i) => first + n * b + i),
      ),
    );
  return out;
}

describe("TrainingPairPool", () => {
  it("gives batches back as they are until it is full, then random pairs of those it has", async () => {
    const pool = new TrainingPairPool(12, new Rng(1));
    const out = await run(pool, 4, 40);
    expect(out.slice(0, 3).flat()).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect(pool.filled).toBe(12);
    const later = out.slice(3).flat();
    // Every pair leaves once, and only after it has come in.
    expect(new Set(later).size).toBe(later.length);
    out.slice(3).forEach((batch, n) => {
      for (const number of batch) expect(number).toBeLessThan(12 + 4 * n);
    });
    expect(out.slice(3).some((batch) => new Set(batch.map((number) => Math.floor(number / 4))).size > 2)).toBe(true);
    pool.dispose();
    expect(pool.filled).toBe(0);
  });

  it("takes every pair with equal chances", async () => {
    const counts = new Array<number>(8).fill(0);
    for (let seed = 0; seed < 200; seed++) {
      const pool = new TrainingPairPool(8, new Rng(seed));
      for (const number of (await run(pool, 2, 5))[4]!) counts[number]!++;
      pool.dispose();
    }
    // 400 draws of 8: 50 each, with a standard deviation of at most 6.6.
    for (const count of counts) expect(Math.abs(count - 50)).toBeLessThan(25);
  });

  it("is decided by its generator, and goes on from a stored state", async () => {
    const pool = new TrainingPairPool(6, new Rng(5));
    const first = await run(pool, 2, 8);
    const again = new TrainingPairPool(6, new Rng(5));
    expect(await run(again, 2, 8)).toEqual(first);
    const resumed = TrainingPairPool.fromState(device, structuredClone(await pool.state()));
    expect(await run(resumed, 2, 5, 16)).toEqual(await run(pool, 2, 5, 16));
    const empty = TrainingPairPool.fromState(device, await new TrainingPairPool(6, new Rng(5)).state());
    expect(await run(empty, 2, 8)).toEqual(first);
    for (const one of [pool, again, resumed, empty]) one.dispose();
  });

  it.each([1, 3])("holds as much memory as its pairs need, with batches of %d", async (b) => {
    const pool = new TrainingPairPool(6, new Rng(2));
    await run(pool, b, 6 / b + 4);
    const full = device.memory().liveBuffers;
    pool.dispose();
    expect(full - device.memory().liveBuffers).toBe(12);
  });

  it("refuses what does not fit", async () => {
    expect(() => new TrainingPairPool(0, new Rng(1))).toThrow("size 0 must be a whole number above 0");
    const pool = new TrainingPairPool(6, new Rng(1));
    scope(() => {
      const pair = (b: number, side: number) => ({
        lq: device.zeros([b, 3, side, side]),
        gt: device.zeros([b, 3, 2 * side, 2 * side]),
      });
      expect(() => pool.exchange(pair(4, 2))).toThrow("the size 6 must be a multiple of the batch");
      pool.exchange(pair(2, 2));
      expect(() => pool.exchange(pair(2, 3))).toThrow("the pool holds images of [3, 2, 2] and [3, 4, 4]");
      return null;
    });
    pool.dispose();
  });
});
