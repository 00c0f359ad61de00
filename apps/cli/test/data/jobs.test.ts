import { expect, test } from "vitest";
import { inParallel } from "../../src/data/jobs.ts";

test("inParallel begins in order, at most so many at a time", async () => {
  const begun: number[] = [];
  let [running, most] = [0, 0];
  await inParallel([5, 1, 4, 2, 3], 2, async (wait) => {
    begun.push(wait);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, wait));
    running -= 1;
  });
  expect(begun).toEqual([5, 1, 4, 2, 3]);
  expect([most, running]).toEqual([2, 0]);
});

test("inParallel begins nothing new after a failure, and throws it once the rest has ended", async () => {
  const ended: number[] = [];
  const work = inParallel([1, 2, 3, 4], 2, async (item) => {
    if (item === 1) throw new Error("no");
    await new Promise((resolve) => setTimeout(resolve, 5));
    ended.push(item);
  });
  await expect(work).rejects.toThrow("no");
  expect(ended).toEqual([2]);
});
