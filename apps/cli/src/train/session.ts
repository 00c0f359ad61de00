/** What both trainings have around their steps: the run folder, the log, the progress bar, checkpoints and Ctrl-C. */
import type { Tensor } from "@deplsr/tensor";
import { stringify } from "yaml";
import { Interrupt } from "../interrupt.ts";
import { counted, type Output } from "../output.ts";
import { duration } from "../progress.ts";
import { type Keeping, RunFolder } from "../run-folder.ts";
import { checkpointFiles, type Restorable, restoreTraining, type TrainingState } from "./checkpoint.ts";
import { isNumber, runLoop, type StepMetrics } from "./loop.ts";

/** A training that is ready to run. */
export interface Training {
  /** What the progress bar says, `train srclip`. */
  readonly title: string;
  /** Names of the losses; the first one stands beside the progress bar. */
  readonly names: readonly string[];
  readonly total: number;
  readonly seed: number;
  readonly saveEvery: number;
  readonly logEvery: number;
  /** Learning rate of a step (from 1), for the log. */
  readonly learningRate: (step: number) => number;
  /** See `LoopOptions.step`. */
  readonly step: (step: number) => Tensor | Promise<Tensor>;
  /** What a checkpoint holds, without the step. */
  readonly state: () => Omit<TrainingState, "step" | "seed">;
  /** Puts a checkpoint's weights into the network. */
  readonly load: Restorable["load"];
  /** Leaves steps out whose loss is no number; default false. */
  readonly skips?: boolean;
}

/** What is needed around a training. */
export interface SessionOptions {
  readonly training: Training;
  /** Where the run folder stands, or shall stand. */
  readonly folder: string;
  /** The checkpoint to go on from; null for a run from the beginning. */
  readonly from?: string | null;
  /** See `RunOpening`. */
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly keep?: Keeping;
  /** The configuration with every default filled in: becomes `config.yml`. */
  readonly config: unknown;
  readonly output: Output;
  /** Gets every step's numbers, for curves. */
  readonly onMetrics?: (metrics: readonly StepMetrics[]) => void;
}

/** What came of it. */
export interface SessionResult {
  readonly run: string;
  readonly checkpoint: string;
  readonly steps: number;
  readonly interrupted: boolean;
  /** What the command ends with: 0, or 128 and the number of the signal that stopped it. */
  readonly exitCode: number;
  readonly seconds: number;
  /** Means over the first and the last tenth of this run's steps. */
  readonly first: Readonly<Record<string, number>>;
  readonly last: Readonly<Record<string, number>>;
}

/** The numbers are read after this many steps at the latest. */
const READ_EVERY = 8;
/** A training of which so many steps in a row come to nothing will not recover. */
const MOST_SKIPPED = 100;

/**
 * Runs a training to its end, or until Ctrl-C.
 *
 * @throws UserError as `runLoop` and `RunFolder.open`, and when the disk is full at a checkpoint
 */
export async function runSession(options: SessionOptions): Promise<SessionResult> {
  const { folder, config, output, from = null, resume = false, overwrite = false } = options;
  const say = (line: string): void => output.warn(line);
  const run = await RunFolder.open(folder, {
    config: stringify(config),
    now: new Date(),
    from,
    resume,
    overwrite,
    say,
  });
  try {
    return await runIn(run, options);
  } finally {
    run.close();
  }
}

async function runIn(run: RunFolder, options: SessionOptions): Promise<SessionResult> {
  const { training, folder, output, from = null, keep = { last: null, every: null }, onMetrics } = options;
  const log = (line: string): void => {
    run.log(line, new Date());
    output.line(line);
  };
  const done =
    from === null ? 0 : await restoreTraining(from, { ...training.state(), load: training.load, seed: training.seed });
  if (from !== null) log(`${training.title}: goes on after step ${done} of ${from}`);
  if (done >= training.total) log(`${training.title}: all of its ${counted(training.total, "step")} are done already`);
  const history = new History(training.total - done);
  const started = performance.now();
  const bar = output.progress(training.title, training.total, "step");
  using interrupt = new Interrupt((line) => output.warn(line)).listen();
  const report = (metrics: readonly StepMetrics[]): void => {
    history.add(metrics);
    // JSON has no NaN: what is left out is null there.
    run.metrics(metrics.map(({ step, values }) => ({ step, lr: training.learningRate(step), ...values })));
    for (const { step } of metrics.filter((one) => !isNumber(one))) {
      log(`step ${step} is left out: its loss or its gradient is no number`);
    }
    onMetrics?.(metrics);
    const latest = metrics[metrics.length - 1]!;
    bar.update(latest.step, `${training.names[0]} ${latest.values[training.names[0]!]!.toFixed(4)}`);
    for (const { step, values } of metrics) {
      if (step % training.logEvery === 0) run.log(metricsLine(step, training, values), new Date());
    }
  };
  try {
    const { step, interrupted } = await runLoop({
      names: training.names,
      done,
      total: training.total,
      readEvery: READ_EVERY,
      saveEvery: training.saveEvery,
      step: training.step,
      report,
      save: async (step) => {
        const path = await run.saveCheckpoint(
          step,
          await checkpointFiles({ ...training.state(), step, seed: training.seed }),
        );
        run.log(`saved ${path}`, new Date());
        await run.prune(keep);
      },
      stopRequested: () => interrupt.requested,
      ...(training.skips ? { skipped: MOST_SKIPPED } : {}),
    });
    bar.finish();
    const seconds = (performance.now() - started) / 1000;
    const result: SessionResult = {
      run: folder,
      checkpoint: run.checkpointPath(step),
      steps: step,
      interrupted,
      exitCode: interrupted ? interrupt.exitCode : 0,
      seconds,
      first: history.first(),
      last: history.last(),
    };
    log(
      `${training.title}: ${interrupted ? "stopped after" : "done,"} ${counted(step, "step")} in ${duration(seconds)}; ${result.checkpoint}`,
    );
    return result;
  } catch (error) {
    bar.finish();
    run.log(`failed: ${error instanceof Error ? error.message : String(error)}`, new Date());
    throw error;
  }
}

function metricsLine(step: number, training: Training, values: Readonly<Record<string, number>>): string {
  const losses = training.names.map((name) => `${name} ${values[name]!.toExponential(4)}`);
  return `step ${step}/${training.total} lr ${training.learningRate(step).toExponential(3)} ${losses.join(" ")}`;
}

/** Means of the first and of the last tenth of a run, whatever its length. */
class History {
  readonly #window: number;
  readonly #first: StepMetrics[] = [];
  #last: StepMetrics[] = [];

  constructor(total: number) {
    this.#window = Math.max(1, Math.round(total / 10));
  }

  add(metrics: readonly StepMetrics[]): void {
    for (const item of metrics) if (this.#first.length < this.#window) this.#first.push(item);
    this.#last = [...this.#last, ...metrics].slice(-this.#window);
  }

  first(): Record<string, number> {
    return means(this.#first);
  }

  last(): Record<string, number> {
    return means(this.#last);
  }
}

function means(metrics: readonly StepMetrics[]): Record<string, number> {
  const names = Object.keys(metrics[0]?.values ?? {});
  return Object.fromEntries(
    names.map((name) => [name, metrics.reduce((sum, { values }) => sum + values[name]!, 0) / metrics.length]),
  );
}
