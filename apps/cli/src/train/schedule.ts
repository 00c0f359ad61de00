/** The learning rates of both trainings: by BasicSR's schedulers and by open_clip's. */
import {
  constantCooldownSchedule,
  constantSchedule,
  cosineAnnealingSchedule,
  cosineRestartSchedule,
  cosineSchedule,
  linearWarmup,
  multiStepRestartSchedule,
  type Schedule,
} from "@deplsr/nn";
import type { SrRunConfig } from "../config/sr.ts";
import type { SrclipRunConfig } from "../config/srclip.ts";

/** The learning rate of a super-resolution run by step, counted from 0. */
export function scheduleOf({
  train: { optim_g, scheduler, warmup_iter },
}: {
  readonly train: Pick<SrRunConfig["train"], "optim_g" | "scheduler" | "warmup_iter">;
}): Schedule {
  const schedule = plainSchedule(optim_g.lr, scheduler);
  return warmup_iter > 0 ? linearWarmup(schedule, warmup_iter) : schedule;
}

function plainSchedule(baseLr: number, scheduler: SrRunConfig["train"]["scheduler"]): Schedule {
  switch (scheduler.type) {
    case "CosineAnnealingLR":
      return cosineAnnealingSchedule({ baseLr, tMax: scheduler.T_max, etaMin: scheduler.eta_min });
    case "CosineAnnealingRestartLR": {
      const { periods, restart_weights: restartWeights = periods.map(() => 1), eta_min: etaMin } = scheduler;
      return cosineRestartSchedule({ baseLr, periods, restartWeights, etaMin });
    }
    default: {
      const { milestones, gamma, restarts = [0], restart_weights: restartWeights = [1] } = scheduler;
      return multiStepRestartSchedule({ baseLr, milestones, gamma, restarts, restartWeights });
    }
  }
}

/** The learning rate of an SRCLIP run by step, counted from 0. @param total the run's steps */
export function srclipSchedule(run: SrclipRunConfig, total: number, stepsPerEpoch: number): Schedule {
  const settings = { baseLr: run.lr, warmup: run.warmup };
  switch (run.lr_scheduler) {
    case "cosine":
      return cosineSchedule({ ...settings, total });
    case "const":
      return constantSchedule(settings);
    default: {
      const { epochs_cooldown, lr_cooldown_power: power, lr_cooldown_end: endLr } = run;
      const cooldownSteps = Math.min(total, epochs_cooldown! * stepsPerEpoch);
      return constantCooldownSchedule({ ...settings, total, cooldownSteps, power, endLr });
    }
  }
}
