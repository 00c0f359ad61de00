/**
 * The loop that both trainings run: step after step on the device, a look at the numbers only now and then, checkpoints in between, and an
 * orderly end when someone presses Ctrl-C or a loss is no number any more.
 */
import { detach, reshape, scope, stack, type Tensor } from "@deplsr/tensor";
import { UserError } from "../errors.ts";

/** Trainings read their numbers after this many steps at the latest. */
export const READ_EVERY = 8;

/** What one step measured: its number (from 1) and its values by name. */
export interface StepMetrics {
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** What a training gives the loop. */
export interface LoopOptions {
  /** Names of the values that `step` returns, in order. */
  readonly names: readonly string[];
  /** Steps that are done already; 0 for a new run. */
  readonly done: number;
  /** The step at which training ends. */
  readonly total: number;
  /** The numbers are read after this many steps at the latest; in between, the device is not waited for. */
  readonly readEvery: number;
  /** A checkpoint is written after every so many steps, and at the end. */
  readonly saveEvery: number;
  /** Whether one is written after this step as well. */
  readonly saveAlso?: (step: number) => boolean;
  /** Trains one step and returns its values as a (k,) tensor without graph, which the loop disposes. */
  readonly step: (step: number) => Tensor | Promise<Tensor>;
  /** Waits, after a step whose numbers are not read, until the device is not too far behind. */
  readonly pace?: () => Promise<void>;
  /** Gets the numbers of the steps since the last time, in order. */
  readonly report: (metrics: readonly StepMetrics[]) => void;
  /** Whether to read the numbers after this step although there are few yet; asked once a step. */
  readonly readNow?: () => boolean;
  /** Measures the network after every so many steps and after the last, before the checkpoint of the same step. */
  readonly validation?: { readonly every: number; readonly run: (step: number) => Promise<void> };
  /** Writes a checkpoint of the state after `step` steps; called only while every loss so far is a number. */
  readonly save: (step: number) => Promise<void>;
  /** Whether to stop after the step that is running. */
  readonly stopRequested: () => boolean;
  /** Reports steps whose values are no numbers, which were left out, instead of ending; so many in a row end it all the same. */
  readonly skipped?: number;
}

/** How a training ended. */
export interface LoopResult {
  /** Steps done in all. */
  readonly step: number;
  /** True when it was asked to stop before `total`. */
  readonly interrupted: boolean;
}

/**
 * Runs steps `done + 1` to `total`.
 *
 * @throws UserError naming the step and the value, when a value is NaN or infinite; nothing is saved after that, so the last checkpoint is a good one
 */
export async function runLoop(options: LoopOptions): Promise<LoopResult> {
  const { done, total, readEvery, saveEvery, validation, readNow = () => false, saveAlso = () => false } = options;
  let waiting: { step: number; values: Tensor }[] = [];
  let saved: number | undefined = done > 0 ? done : undefined;
  let skippedInRow = 0;
  const readNumbers = async (): Promise<void> => {
    const read = waiting;
    waiting = [];
    const metrics = await readMetrics(read, options.names);
    const bad = metrics.findIndex((one) => {
      skippedInRow = isNumber(one) ? 0 : skippedInRow + 1;
      return skippedInRow > (options.skipped ?? 0);
    });
    if (bad < 0) {
      if (metrics.length > 0) options.report(metrics);
      return;
    }
    if (bad > 0) options.report(metrics.slice(0, bad));
    throw notFinite(metrics[bad]!, saved, options.skipped ?? 0);
  };
  const save = async (step: number): Promise<void> => {
    await readNumbers();
    await options.save(step);
    saved = step;
  };
  let measured = done;
  const measure = async (step: number): Promise<void> => {
    await readNumbers();
    await validation?.run(step);
    measured = step;
  };
  let step = done;
  try {
    while (step < total && !options.stopRequested()) {
      step += 1;
      waiting.push({ step, values: await options.step(step) });
      const due = readNow() || waiting.length >= readEvery;
      if (validation && step % validation.every === 0) await measure(step);
      if ((step % saveEvery === 0 || saveAlso(step)) && step < total) await save(step);
      else if (due) await readNumbers();
      else {
        await options.pace?.();
        await nextTurn();
      }
    }
    if (validation && step === total && measured !== step) await measure(step);
    if (saved !== step) await save(step);
    return { step, interrupted: step < total };
  } finally {
    for (const { values } of waiting) values.dispose();
  }
}

/** Scalars (of any shape with one element) of a step as the (k,) tensor that `LoopOptions.step` returns, without graph. */
export function stackValues(values: readonly Tensor[]): Tensor {
  return stack(
    values.map((value) => reshape(detach(value), [])),
    0,
  );
}

async function readMetrics(
  waiting: readonly { step: number; values: Tensor }[],
  names: readonly string[],
): Promise<StepMetrics[]> {
  if (waiting.length === 0) return [];
  const all = scope(() =>
    stack(
      waiting.map(({ values }) => values),
      0,
    ),
  );
  try {
    const numbers = await all.data();
    return waiting.map(({ step }, i) => ({
      step,
      values: Object.fromEntries(names.map((name, k) => [name, numbers[i * names.length + k]!])),
    }));
  } finally {
    all.dispose();
    for (const { values } of waiting) values.dispose();
  }
}

/** Whether all that a step measured are numbers. */
export function isNumber({ values }: StepMetrics): boolean {
  return Object.values(values).every((value) => Number.isFinite(value));
}

function notFinite({ step, values }: StepMetrics, saved: number | undefined, skipped: number): UserError {
  const [name, value] = Object.entries(values).find(([, number]) => !Number.isFinite(number))!;
  const last =
    saved === undefined ? "no checkpoint was written yet" : `the checkpoint of step ${saved} is the last good one`;
  const row = skipped > 0 ? `, after ${skipped} steps in a row that were left out` : "";
  return new UserError(
    `train: ${name} is ${value} at step ${step}${row}: training stopped, ${last}; lower the learning rate or clip the gradients`,
  );
}

/** Lets timers, signals and the device's background work run. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
