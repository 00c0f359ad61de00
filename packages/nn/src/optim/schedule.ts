import { checkFunction, checkNumber, checkOptions, checkWhole, checkWholes, wrongArgument } from "@deplsr/tensor";

/** Learning rate at a step counted from 0. */
export type Schedule = (step: number) => number;

/** Settings of the schedules of contrastive training. */
export interface WarmupSettings {
  readonly baseLr: number;
  /** Steps of linear rise: step t < warmup has baseLr·(t + 1)/warmup. */
  readonly warmup: number;
}

function checkSettings(op: string, settings: object, known: readonly string[]): void {
  checkOptions(op, settings, known);
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    if (["warmup", "total", "cooldownSteps", "tMax"].includes(name)) checkWhole(op, name, value, 0);
    else if (name === "milestones" || name === "restarts" || name === "periods") checkWholes(op, name, value, 0);
    else if (name === "restartWeights") {
      if (!Array.isArray(value)) throw wrongArgument(op, name, "an array of numbers", value);
      for (const weight of value) checkNumber(op, name, weight);
    } else checkNumber(op, name, value, 0);
  }
}

function warmedUp({ baseLr, warmup }: WarmupSettings, after: Schedule): Schedule {
  return (step) => (step < warmup ? (baseLr * (step + 1)) / warmup : after(step));
}

/** Warm-up, then half a cosine down to 0 at step `total`. @see https://arxiv.org/abs/1608.03983 */
export function cosineSchedule(settings: WarmupSettings & { readonly total: number }): Schedule {
  checkSettings("cosineSchedule", settings, ["baseLr", "warmup", "total"]);
  checkNumber("cosineSchedule", "baseLr", settings.baseLr, 0);
  checkWhole("cosineSchedule", "warmup", settings.warmup, 0);
  checkWhole("cosineSchedule", "total", settings.total, 0);
  const { baseLr, warmup, total } = settings;
  return warmedUp(settings, (step) => {
    const progress = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
    return 0.5 * baseLr * (1 + Math.cos(Math.PI * progress));
  });
}

/** Warm-up, then constant. */
export function constantSchedule(settings: WarmupSettings): Schedule {
  checkSettings("constantSchedule", settings, ["baseLr", "warmup"]);
  checkNumber("constantSchedule", "baseLr", settings.baseLr, 0);
  checkWhole("constantSchedule", "warmup", settings.warmup, 0);
  return warmedUp(settings, () => settings.baseLr);
}

/** Settings of `constantCooldownSchedule`. */
export interface CooldownSettings extends WarmupSettings {
  readonly total: number;
  readonly cooldownSteps: number;
  /** Exponent of the fall, 1 (a straight line) by default. */
  readonly power?: number;
  /** Learning rate that step `total` would have, 0 by default. */
  readonly endLr?: number;
}

/** Warm-up, then constant, then a fall to `endLr` over the last `cooldownSteps` steps before `total`. */
export function constantCooldownSchedule(settings: CooldownSettings): Schedule {
  checkSettings("constantCooldownSchedule", settings, ["baseLr", "warmup", "total", "cooldownSteps", "power", "endLr"]);
  checkNumber("constantCooldownSchedule", "baseLr", settings.baseLr, 0);
  checkWhole("constantCooldownSchedule", "warmup", settings.warmup, 0);
  checkWhole("constantCooldownSchedule", "total", settings.total, 0);
  checkWhole("constantCooldownSchedule", "cooldownSteps", settings.cooldownSteps, 0);
  const { baseLr, total, cooldownSteps, power = 1, endLr = 0 } = settings;
  const start = total - cooldownSteps;
  return warmedUp(settings, (step) => {
    if (step < start) return baseLr;
    const left = Math.max(0, 1 - (step - start) / Math.max(1, cooldownSteps));
    return left ** power * (baseLr - endLr) + endLr;
  });
}

/** Settings of `multiStepRestartSchedule`. */
export interface MultiStepSettings {
  readonly baseLr: number;
  /** Steps from which on the rate is multiplied by `gamma`, once for each time a step is listed. */
  readonly milestones: readonly number[];
  /** Default 0.1. */
  readonly gamma?: number;
  /** Steps at which the rate is set to baseLr·weight, ascending; default [0]. */
  readonly restarts?: readonly number[];
  /** One weight for each restart; default [1]. */
  readonly restartWeights?: readonly number[];
}

/** Falls by `gamma` at each milestone after the latest restart. Step k is iteration k + 1 of a training that counts from 1. */
export function multiStepRestartSchedule(settings: MultiStepSettings): Schedule {
  checkSettings("multiStepRestartSchedule", settings, ["baseLr", "milestones", "gamma", "restarts", "restartWeights"]);
  checkNumber("multiStepRestartSchedule", "baseLr", settings.baseLr, 0);
  checkWholes("multiStepRestartSchedule", "milestones", settings.milestones, 0);
  const { baseLr, milestones, gamma = 0.1, restarts = [0], restartWeights = [1] } = settings;
  checkPairs("multiStepRestartSchedule", "restarts", restarts, restartWeights);
  return (step) => {
    const index = restarts.filter((restart) => restart <= step).length - 1;
    const since = restarts[index] ?? 0;
    const passed = milestones.filter((milestone) => milestone > since && milestone <= step).length;
    return baseLr * (restartWeights[index] ?? 1) * gamma ** passed;
  };
}

/** Settings of `cosineRestartSchedule`. */
export interface CosineRestartSettings {
  readonly baseLr: number;
  /** Length of each cosine in steps. */
  readonly periods: readonly number[];
  /** One weight for each period; default 1 for all. */
  readonly restartWeights?: readonly number[];
  /** The rate at the end of each period, 0 by default. */
  readonly etaMin?: number;
}

/**
 * Half cosines from weight·(baseLr − etaMin) + etaMin down to `etaMin`, one after the other; a period's last step is still
 * its own, and after the last period the rate stays at `etaMin`.
 */
export function cosineRestartSchedule(settings: CosineRestartSettings): Schedule {
  checkSettings("cosineRestartSchedule", settings, ["baseLr", "periods", "restartWeights", "etaMin"]);
  checkNumber("cosineRestartSchedule", "baseLr", settings.baseLr, 0);
  checkWholes("cosineRestartSchedule", "periods", settings.periods, 0);
  const { baseLr, periods, restartWeights = periods.map(() => 1), etaMin = 0 } = settings;
  checkPairs("cosineRestartSchedule", "periods", periods, restartWeights);
  return (step) => {
    let start = 0;
    for (const [index, period] of periods.entries()) {
      if (step <= start + period) {
        const height = restartWeights[index]! * 0.5 * (baseLr - etaMin);
        return etaMin + height * (1 + Math.cos((Math.PI * (step - start)) / period));
      }
      start += period;
    }
    return etaMin;
  };
}

/** Settings of `cosineAnnealingSchedule`. */
export interface CosineAnnealingSettings {
  readonly baseLr: number;
  /** Steps of half a cosine. */
  readonly tMax: number;
  /** The lowest rate, 0 by default. */
  readonly etaMin?: number;
}

/**
 * A cosine between `baseLr` and `etaMin`: down over `tMax` steps, up over the next, and so on.
 *
 * @see https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
 */
export function cosineAnnealingSchedule(settings: CosineAnnealingSettings): Schedule {
  checkSettings("cosineAnnealingSchedule", settings, ["baseLr", "tMax", "etaMin"]);
  checkNumber("cosineAnnealingSchedule", "baseLr", settings.baseLr, 0);
  checkWhole("cosineAnnealingSchedule", "tMax", settings.tMax, 1);
  const { baseLr, tMax, etaMin = 0 } = settings;
  checkNumber("cosineAnnealingSchedule", "etaMin", etaMin, 0);
  return (step) => etaMin + 0.5 * (baseLr - etaMin) * (1 + Math.cos((Math.PI * step) / tMax));
}

/** Linear warm-up of another schedule: iteration n (= step + 1) < `warmup` has n/warmup of its rate at step 0. */
export function linearWarmup(schedule: Schedule, warmup: number): Schedule {
  checkFunction("linearWarmup", "schedule", schedule);
  checkWhole("linearWarmup", "warmup", warmup, 0);
  return (step) => (step + 1 < warmup ? (schedule(0) * (step + 1)) / warmup : schedule(step));
}

function checkPairs(where: string, what: string, steps: readonly number[], weights: readonly number[]): void {
  if (steps.length !== weights.length) {
    throw new RangeError(`${where}: ${steps.length} ${what} need as many restart weights, got ${weights.length}`);
  }
}
