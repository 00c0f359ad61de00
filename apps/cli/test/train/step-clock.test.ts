import { describe, expect, test } from "vitest";
import { barNote, dataShare, Gauge, percent, perStep, StepClock } from "../../src/train/step-clock.ts";

describe("StepClock", () => {
  test("tells whole steps, their parts and their means, and leaves out what belongs to none", async () => {
    let now = 1000;
    const clock = new StepClock(() => now);
    const step = (data: number, rest: number): void => {
      clock.begin();
      now += data;
      clock.mark("data");
      now += rest;
      clock.end();
    };
    expect(clock.lap()).toEqual({ steps: 0, time: 0, parts: {} });
    now += 0.5;
    expect(clock.secondsFor(10)).toBe(Number.POSITIVE_INFINITY);
    now -= 0.5;
    step(10, 90);
    step(30, 190);
    now += 80; // waiting for the numbers
    expect(clock.lap()).toEqual({ steps: 2, time: 0.2, parts: { data: 0.02 } });
    await clock.apart(async () => {
      now += 5000;
    });
    step(40, 60);
    const lap = clock.lap();
    expect(lap).toEqual({ steps: 1, time: 0.1, parts: { data: 0.04 } });
    expect(dataShare(lap)).toBeCloseTo(0.4);
    const total = clock.total();
    expect(total.steps).toBe(3);
    expect(total.time).toBeCloseTo(0.5 / 3);
    expect(total.parts.data).toBeCloseTo(0.08 / 3);
    // Checkpoints will be written again.
    expect(clock.seconds()).toBe(5.5);
    expect(clock.secondsFor(6)).toBe(11);
    expect(clock.secondsFor(0)).toBe(0);
  });

  test("a part that only some steps mark has the mean of those", () => {
    let now = 0;
    const clock = new StepClock(() => now);
    for (const measured of [true, false, false]) {
      clock.begin();
      now += 10;
      clock.mark("data");
      now += 100;
      if (measured) clock.mark("update");
      clock.end();
    }
    expect(clock.lap()).toEqual({ steps: 3, time: 0.11, parts: { data: 0.01, update: 0.1 } });
  });

  test("a step that marks parts several times has their sums", () => {
    let now = 0;
    const clock = new StepClock(() => now);
    for (const batches of [2, 1]) {
      clock.begin();
      for (let batch = 0; batch < batches; batch++) {
        now += 10;
        clock.mark("forward");
        now += 20;
        clock.mark("backward");
      }
      clock.end();
    }
    expect(clock.lap()).toEqual({ steps: 2, time: 0.045, parts: { forward: 0.015, backward: 0.03 } });
  });

  test("what belongs to no step counts even where it fails", async () => {
    let now = 0;
    const clock = new StepClock(() => now);
    const failing = clock.apart(async () => {
      now += 100;
      throw new Error("disk full");
    });
    await expect(failing).rejects.toThrow("disk full");
    clock.begin();
    now += 10;
    clock.end();
    expect(clock.lap().time).toBe(0.01);
  });
});

describe("Gauge", () => {
  const moves = (stepMs: number, steps: number): number[] => {
    let now = 0;
    const gauge = new Gauge(() => now);
    const moved: number[] = [];
    for (let step = 1; step <= steps; step++) {
      now += stepMs;
      if (gauge.due()) moved.push(step);
    }
    return moved;
  };

  test("short steps move the bar every ten seconds", () => {
    expect(moves(1000, 25)).toEqual([1, 11, 21]);
    expect(moves(3000, 9)).toEqual([1, 5, 9]);
  });

  test("long steps move it every step", () => {
    expect(moves(60_000, 3)).toEqual([1, 2, 3]);
  });
});

test("texts", () => {
  const times = { steps: 1, time: 0.5, parts: { data: 0.002 } };
  expect(barNote(["l_pix", 0.01234], times, 1.3e9)).toBe("l_pix 0.0123  data 0.4 %  peak 1.2 GiB");
  expect(dataShare({ steps: 0, time: 0, parts: {} })).toBe(0);
  expect(percent(0.5)).toBe("50.0 %");
  expect([perStep(0.0012), perStep(0.1234), perStep(3.21), perStep(75)]).toEqual([
    "1.2 ms",
    "123 ms",
    "3.2 s",
    "1 min 15 s",
  ]);
});
