import { describe, expect, it } from "vitest";
import {
  constantCooldownSchedule,
  constantSchedule,
  cosineAnnealingSchedule,
  cosineRestartSchedule,
  cosineSchedule,
  linearWarmup,
  multiStepRestartSchedule,
} from "../../src/index.ts";

describe("cosineSchedule", () => {
  it("rises linearly, peaks at the end of the warm-up and halves midway", () => {
    const lr = cosineSchedule({ baseLr: 2e-5, warmup: 100, total: 16_500 });
    expect(lr(0)).toBeCloseTo(2e-7, 15);
    expect(lr(99)).toBeCloseTo(2e-5, 15);
    expect(lr(100)).toBeCloseTo(2e-5, 15);
    expect(lr(8300)).toBeCloseTo(1e-5, 15);
  });

  it("stays at 0 after the last step", () => {
    const lr = cosineSchedule({ baseLr: 1, warmup: 0, total: 10 });
    expect(lr(10)).toBeCloseTo(0, 15);
    expect(lr(25)).toBeCloseTo(0, 15);
  });
});

describe("constantSchedule", () => {
  it("stays at the base rate after the warm-up", () => {
    const lr = constantSchedule({ baseLr: 0.4, warmup: 4 });
    expect([0, 1, 2, 3, 4, 100].map(lr)).toEqual([0.1, 0.2, 0.30000000000000004, 0.4, 0.4, 0.4]);
  });
});

describe("constantCooldownSchedule", () => {
  it("falls along a power to the end rate", () => {
    const lr = constantCooldownSchedule({ baseLr: 1, warmup: 0, total: 10, cooldownSteps: 4, power: 2, endLr: 0.2 });
    expect(lr(6)).toBe(1);
    expect(lr(8)).toBeCloseTo(0.5 ** 2 * 0.8 + 0.2, 12);
    expect(lr(10)).toBeCloseTo(0.2, 12);
  });
});

describe("multiStepRestartSchedule", () => {
  it("keeps the old rate at iteration 250000 and halves it at 250001", () => {
    const lr = multiStepRestartSchedule({ baseLr: 2e-4, milestones: [250_000], gamma: 0.5 });
    expect(lr(250_000 - 1)).toBe(2e-4);
    expect(lr(250_001 - 1)).toBe(1e-4);
  });

  it("multiplies once for each time that a milestone is listed", () => {
    expect(multiStepRestartSchedule({ baseLr: 8, milestones: [3, 3, 5], gamma: 0.5 })(5)).toBe(1);
  });

  it("begins again at a restart, with its weight", () => {
    const lr = multiStepRestartSchedule({
      baseLr: 1,
      milestones: [2, 6],
      gamma: 0.5,
      restarts: [0, 4],
      restartWeights: [1, 0.8],
    });
    expect([1, 2, 3, 4, 5, 6].map(lr)).toEqual([1, 0.5, 0.5, 0.8, 0.8, 0.4]);
  });

  it("refuses weights that do not pair with the restarts", () => {
    expect(() => multiStepRestartSchedule({ baseLr: 1, milestones: [], restarts: [0, 4] })).toThrow(
      "multiStepRestartSchedule: 2 restarts need as many restart weights, got 1",
    );
  });
});

describe("cosineRestartSchedule", () => {
  it("runs each period down to etaMin and begins the next at its weight", () => {
    const lr = cosineRestartSchedule({ baseLr: 1, periods: [10, 4], restartWeights: [1, 0.5], etaMin: 0.1 });
    expect(lr(0)).toBeCloseTo(1, 12);
    expect(lr(5)).toBeCloseTo(0.55, 12);
    expect(lr(10)).toBeCloseTo(0.1, 12);
    expect(lr(12)).toBeCloseTo(0.1 + 0.5 * 0.45, 12);
    expect(lr(14)).toBeCloseTo(0.1, 12);
    expect(lr(99)).toBeCloseTo(0.1, 12);
  });
});

describe("cosineAnnealingSchedule", () => {
  it("follows PyTorch's recursion, past its lowest point too", () => {
    const [baseLr, tMax, etaMin] = [2e-4, 7, 1e-6];
    const lr = cosineAnnealingSchedule({ baseLr, tMax, etaMin });
    // get_lr of torch.optim.lr_scheduler.CosineAnnealingLR: each rate from the one before.
    let expected = baseLr;
    for (let t = 0; t <= 30; t++) {
      if (t > 0 && (t - 1 - tMax) % (2 * tMax) === 0) {
        expected += ((baseLr - etaMin) * (1 - Math.cos(Math.PI / tMax))) / 2;
      } else if (t > 0) {
        const ratio = (1 + Math.cos((Math.PI * t) / tMax)) / (1 + Math.cos((Math.PI * (t - 1)) / tMax));
        expected = ratio * (expected - etaMin) + etaMin;
      }
      expect(lr(t)).toBeCloseTo(expected, 12);
    }
    expect(lr(tMax)).toBe(etaMin);
  });

  it("refuses a length of nothing", () => {
    expect(() => cosineAnnealingSchedule({ baseLr: 1, tMax: 0 })).toThrow("cosineAnnealingSchedule");
  });
});

describe("linearWarmup", () => {
  it("scales the first rate by n / warmup and then leaves the schedule alone", () => {
    const lr = linearWarmup((step) => (step < 5 ? 8 : 2), 4);
    expect([0, 1, 2, 3, 4, 5].map(lr)).toEqual([2, 4, 6, 8, 8, 2]);
  });
});
