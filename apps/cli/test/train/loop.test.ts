import { keep } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { type LoopOptions, runLoop, type StepMetrics, stackValues } from "../../src/train/loop.ts";
import { useDevice } from "../device.ts";

describe("runLoop", () => {
  const device = useDevice();

  /** A run that records what happens; its loss at step s is `lossOf(s)`. */
  function run(overrides: Partial<LoopOptions>, lossOf: (step: number) => number = (step) => 1 / step) {
    const reported: StepMetrics[] = [];
    const saved: number[] = [];
    const stepped: number[] = [];
    const result = runLoop({
      names: ["loss", "twice"],
      done: 0,
      total: 10,
      readEvery: 3,
      saveEvery: 4,
      step: (step) => {
        stepped.push(step);
        return keep(device().tensor([lossOf(step), 2 * lossOf(step)], [2]));
      },
      report: (metrics) => void reported.push(...metrics),
      save: async (step) => void saved.push(step),
      stopRequested: () => false,
      ...overrides,
    });
    return { result, reported, saved, stepped };
  }

  test("runs every step once, reports each in order, saves in between and at the end", async () => {
    const before = device().memory().liveBuffers;
    const { result, reported, saved, stepped } = run({});
    expect(await result).toEqual({ step: 10, interrupted: false });
    expect(stepped).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(reported.map(({ step }) => step)).toEqual(stepped);
    expect(reported[3]!.values).toEqual({ loss: 0.25, twice: 0.5 });
    expect(saved).toEqual([4, 8, 10]);
    // Fewer are no leak: while this waits, the collector may give back what another test left.
    expect(device().memory().liveBuffers).toBeLessThanOrEqual(before);
  });

  test("saves after other steps too where it is told", async () => {
    const { result, saved } = run({ saveAlso: (step) => step % 3 === 0 });
    await result;
    expect(saved).toEqual([3, 4, 6, 8, 9, 10]);
  });

  test("goes on after the steps that are done", async () => {
    const { result, stepped, saved } = run({ done: 8 });
    await result;
    expect(stepped).toEqual([9, 10]);
    expect(saved).toEqual([10]);
  });

  test("a loss that is NaN stops it: names the step, saves nothing after it, keeps the last good checkpoint", async () => {
    const { result, saved, reported } = run({}, (step) => (step === 6 ? Number.NaN : 1));
    await expect(result).rejects.toThrow(
      "train: loss is NaN at step 6: training stopped, the checkpoint of step 4 is the last good one; lower the learning rate or clip the gradients",
    );
    expect(saved).toEqual([4]);
    expect(reported.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
  });

  test("an infinite loss before the first checkpoint says that there is none", async () => {
    const { result, saved } = run({}, (step) => (step === 2 ? Number.POSITIVE_INFINITY : 1));
    await expect(result).rejects.toThrow(
      "train: loss is Infinity at step 2: training stopped, no checkpoint was written yet",
    );
    expect(saved).toEqual([]);
  });

  test("a NaN right before a checkpoint is seen before that is written", async () => {
    const { result, saved } = run({ readEvery: 100 }, (step) => (step === 4 ? Number.NaN : 1));
    await expect(result).rejects.toThrow("at step 4");
    expect(saved).toEqual([]);
  });

  test("asked to stop, it finishes the step, saves and says so", async () => {
    let stop = false;
    const { result, saved, reported } = run({
      stopRequested: () => stop,
      step: (step) => {
        stop = step === 5;
        return keep(device().tensor([1, 1], [2]));
      },
    });
    expect(await result).toEqual({ step: 5, interrupted: true });
    expect(saved).toEqual([4, 5]);
    expect(reported.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
  });

  test("an error of the step itself comes through, and nothing is left on the device", async () => {
    const before = device().memory().liveBuffers;
    const { result } = run({
      step: (step) => {
        if (step === 2) throw new Error("the data set is gone");
        return keep(device().tensor([1, 1], [2]));
      },
    });
    await expect(result).rejects.toThrow("the data set is gone");
    // Fewer are no leak: while this waits, the collector may give back what another test left.
    expect(device().memory().liveBuffers).toBeLessThanOrEqual(before);
  });

  test("stackValues joins scalars of any shape with one element", async () => {
    using values = stackValues([device().full([], 3), device().full([1, 1], 4)]);
    expect(values.shape).toEqual([2]);
    expect([...(await values.data())]).toEqual([3, 4]);
  });
});
