/** What both trainings have around their steps: the run folder, the log, the progress bar, checkpoints and Ctrl-C. */
import type { Module } from "@deplsr/nn";
import type { Device, Tensor } from "@deplsr/tensor";
import { stringify } from "yaml";
import type { BatchCourse } from "../data/course.ts";
import { oneLine } from "../errors.ts";
import { Interrupt } from "../interrupt.ts";
import { counted, type Output } from "../output.ts";
import { duration } from "../progress.ts";
import { type CheckpointFiles, type Keeping, RunFolder } from "../run-folder.ts";
import { versions } from "../versions.ts";
import { Bests, type BestValues, type MeasuredValues } from "./bests.ts";
import { checkpointFiles, type Restorable, restoreTraining, type TrainingState } from "./checkpoint.ts";
import { countParameters } from "./dry-run.ts";
import { isNumber, READ_EVERY, runLoop, type StepMetrics } from "./loop.ts";
import type { TrainingRanks } from "./ranks.ts";
import { recordsOf } from "./report-page.ts";
import { RunView, type SeenValidation } from "./run-view.ts";
import type { StepClock } from "./step-clock.ts";

/** A training that is ready to run. */
export interface Training {
  /** What the progress bar says, `train srclip`. */
  readonly title: string;
  /** Names of the losses; the first one stands beside the progress bar. */
  readonly names: readonly string[];
  readonly total: number;
  readonly seed: number;
  readonly saveEvery: number;
  /** See `LoopOptions.saveAlso`: those checkpoints stay until the next one is there. */
  readonly saveAlso?: (step: number) => boolean;
  readonly logEvery: number;
  /** What is trained, `RealDAT`. */
  readonly network: string;
  readonly module: Module;
  readonly device: Device;
  /** The processes that train together; one that is alone is a group of its own. */
  readonly ranks: TrainingRanks;
  /** Which batches are those of a step, and of this process. */
  readonly course: BatchCourse;
  /** What the network works with and is not trained, by name. */
  readonly frozen: ReadonlyMap<string, Tensor>;
  /** What the data set is made of, a line each: the same in all processes. */
  readonly files: readonly string[];
  /** Items by data set. */
  readonly dataSets: Readonly<Record<string, number>>;
  /** The epoch of a step, from 0. */
  readonly epoch: (step: number) => number;
  /** What is measured while training; null where nothing is. */
  readonly validation: Validating | null;
  /** Learning rate of a step (from 1), for the log. */
  readonly learningRate: (step: number) => number;
  /** See `LoopOptions.step`; tells the clock when its data is there. */
  readonly step: (step: number, clock?: Pick<StepClock, "mark">) => Tensor | Promise<Tensor>;
  /** What a checkpoint holds, without the step. */
  readonly state: () => Omit<TrainingState, "step" | "seed" | "best" | "course">;
  /** Puts a checkpoint's weights into the network. */
  readonly load: Restorable["load"];
  /** Leaves steps out whose loss is no number; default false. */
  readonly skips?: boolean;
}

/** What a validation found on one data set. */
export interface Measured {
  readonly dataSet: string;
  readonly metrics: MeasuredValues;
  readonly pictures: SeenValidation["pictures"];
  /** Of which metrics the best checkpoint is kept; default all. */
  readonly keep?: readonly string[];
  /** What the log says of it besides. */
  readonly lines?: readonly string[];
}

/** A validation that runs after every so many steps. */
export interface Validating {
  readonly every: number;
  /** Items by data set. */
  readonly counts: Readonly<Record<string, number>>;
  /** Called in all processes, which share the sets; what it gives in the first one counts. */
  readonly run: (step: number) => Promise<readonly Measured[]>;
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
  /** Whether TensorBoard's files are written. */
  readonly events?: boolean;
  /** The configuration with every default filled in: becomes `config.yml`. */
  readonly config: unknown;
  readonly output: Output;
  /** Told when the run folder is open. */
  readonly onOpen?: () => void;
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
  /** Where it was validated. */
  readonly best?: BestValues;
}

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
  options.onOpen?.();
  try {
    return await runIn(run, options);
  } finally {
    run.close();
  }
}

async function runIn(run: RunFolder, options: SessionOptions): Promise<SessionResult> {
  const { training, folder, config, output, from = null, keep = { last: null, every: null }, onMetrics } = options;
  const { title, names, total, device, validation, ranks } = training;
  const log = (line: string): void => run.log(line, new Date());
  const { step: done, best, change } = await beginTraining(training, from);
  const bests = new Bests(best);
  const name = (config as { readonly name?: unknown }).name;
  const view = new RunView({
    title,
    name: typeof name === "string" ? name : title,
    folder,
    config: stringify(config),
    head: {
      command: process.argv.slice(2),
      versions: versions(),
      dataSets: { ...training.dataSets, ...validation?.counts },
      network: training.network,
      parameters: countParameters(training.module.parameters()),
      done,
      total,
    },
    device,
    output,
    log,
    printEvery: training.logEvery,
    names,
    learningRate: training.learningRate,
    epoch: training.epoch,
    events: options.events ?? false,
    earlier: recordsOf(await run.readMetrics()),
  });
  const say = (line: string): void => {
    log(line);
    output.line(line);
  };
  if (ranks.several) say(`${title}: ${ranks.describe()}`);
  if (from !== null) say(`${title}: goes on after step ${done} of ${from}`);
  if (change !== null) say(`${title}: ${change}`);
  if (done >= total) say(`${title}: all of its ${counted(total, "step")} are done already`);
  const history = new History(total - done);
  const started = performance.now();
  using interrupt = new Interrupt((line) => output.warn(line)).listen();
  ranks.listen(() => interrupt.exitCode);
  ranks.slow.onSlow = say;
  const report = (metrics: readonly StepMetrics[]): void => {
    history.add(metrics);
    // JSON has no NaN: what is left out is null there.
    run.metrics(metrics.map(({ step, values }) => ({ step, lr: training.learningRate(step), ...values })));
    for (const { step } of metrics.filter((one) => !isNumber(one))) {
      say(`step ${step} is left out: its loss or its gradient is no number`);
    }
    onMetrics?.(metrics);
    view.steps(metrics);
  };
  const filesOf = (step: number): Promise<CheckpointFiles> =>
    checkpointFiles({ ...training.state(), step, seed: training.seed, best: bests.all, course: training.course.state });
  const validate = async (step: number, { run: measure }: Validating): Promise<void> => {
    const measured = await measure(step);
    const better = measured.map(({ dataSet, metrics }) => bests.take(step, dataSet, metrics));
    for (const { dataSet, metrics, pictures, lines = [] } of measured) {
      const records = Object.entries(metrics).map(
        ([metric, { value }]) => [`metrics/${dataSet}/${metric}`, value] as const,
      );
      if (records.length > 0) run.metrics([{ step, ...Object.fromEntries(records) }]);
      for (const line of lines) view.log(line);
      await view.validation(step, { dataSet, metrics: bests.beside(dataSet, metrics), pictures });
    }
    // The first set is the one that decides.
    const { keep } = measured[0] ?? {};
    for (const metric of better[0] ?? []) {
      if (!keep || keep.includes(metric)) await run.saveNamed(`best-${metric}`, await filesOf(step));
    }
  };
  let ended = "failed";
  try {
    const { step, interrupted } = await runLoop({
      names,
      done,
      total,
      readEvery: READ_EVERY,
      readNow: () => view.gauge.due(),
      saveEvery: training.saveEvery,
      ...(training.saveAlso ? { saveAlso: training.saveAlso } : {}),
      step: async (step) => {
        view.clock.begin();
        ranks.slow.begin();
        const values = await training.step(step, view.clock);
        view.clock.end();
        return values;
      },
      pace: () => device.pace(),
      report,
      ...(validation
        ? {
            validation: {
              every: validation.every,
              run: (step) => view.clock.apart(() => validate(step, validation)),
            },
          }
        : {}),
      save: (step) =>
        view.clock.apart(async () => {
          await ranks.check(step);
          view.saved(await run.saveCheckpoint(step, await filesOf(step)));
          await run.prune(training.saveAlso ? { ...keep, regular: training.saveEvery } : keep);
        }),
      stopRequested: () => ranks.stopCode > 0,
      ...(training.skips ? { skipped: MOST_SKIPPED } : {}),
    });
    ended = interrupted ? "stopped" : "done";
    await ranks.end();
    const seconds = (performance.now() - started) / 1000;
    const result: SessionResult = {
      run: folder,
      checkpoint: run.checkpointPath(step),
      steps: step,
      interrupted,
      exitCode: interrupted ? ranks.stopCode : 0,
      seconds,
      first: history.first(),
      last: history.last(),
      ...(validation ? { best: bests.all } : {}),
    };
    say(
      `${title}: ${interrupted ? "stopped after" : "done,"} ${counted(step, "step")} in ${duration(seconds)}; ${result.checkpoint}`,
    );
    return result;
  } catch (error) {
    ended = `failed: ${oneLine(error)}`;
    log(ended);
    throw error;
  } finally {
    await view.end(ended);
  }
}

/** Where a training begins: after a checkpoint, or at its start, with the same weights in all processes. */
export async function beginTraining(
  { ranks, course, frozen, state, load, seed }: Training,
  from: string | null,
): Promise<{ readonly step: number; readonly best: BestValues; readonly change: string | null }> {
  const restored = from === null ? null : await restoreTraining(from, { ...state(), load, seed });
  const { step, best } = restored ?? { step: 0, best: {} };
  const change = restored && course.goOn(step, restored.course);
  await ranks.start(state(), frozen);
  return { step, best, change };
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
