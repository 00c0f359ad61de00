/** Everything that is seen of a training while it runs: the bar, log.txt, TensorBoard's events and report.html. */
import { join } from "node:path";
import type { Device } from "@deplsr/tensor";
import { encodeImage, fitInto } from "../data/image.ts";
import { oneLine } from "../errors.ts";
import type { Output } from "../output.ts";
import type { Progress } from "../progress.ts";
import { EventFile } from "./event-file.ts";
import type { StepMetrics } from "./loop.ts";
import {
  type MetricsRecord,
  MOST_PICTURES,
  PICTURE_SIDE,
  type ReportPicture,
  RUNNING,
  RunReport,
  type RunStatus,
} from "./report-page.ts";
import { headLines, type RunHead, stepLine, type ValidationValue, validationLines } from "./run-log.ts";
import { barNote, type Clock, Gauge, StepClock } from "./step-clock.ts";

/** What is needed to show a training. */
export interface ViewOptions {
  /** Stands before the bar, `train sr`. */
  readonly title: string;
  /** The run's name. */
  readonly name: string;
  /** The run's folder. */
  readonly folder: string;
  /** The resolved configuration as YAML. */
  readonly config: string;
  readonly head: Omit<RunHead, "device">;
  readonly device: Pick<Device, "info" | "memory">;
  readonly output: Output;
  /** Writes a line of log.txt. */
  readonly log: (line: string) => void;
  /** A line of the log and TensorBoard's numbers come every so many steps. */
  readonly printEvery: number;
  /** Names of the losses; the first one stands beside the bar. */
  readonly names: readonly string[];
  readonly learningRate: (step: number) => number;
  /** The epoch of a step, from 0. */
  readonly epoch: (step: number) => number;
  /** Whether to write TensorBoard's events. */
  readonly events: boolean;
  /** What metrics.jsonl holds of the steps before, where the run is resumed. */
  readonly earlier?: Iterable<MetricsRecord>;
  readonly clock?: Clock;
  readonly now?: () => Date;
}

/** What a validation on one data set found. */
export interface SeenValidation {
  readonly dataSet: string;
  readonly metrics: Readonly<Record<string, ValidationValue>>;
  readonly pictures: readonly ReportPicture[];
}

/** Shows a training. What it cannot write is said once, and the training goes on. */
export class RunView {
  /** To be told when a step begins and ends, and of its parts. */
  readonly clock: StepClock;
  /** To be asked after each step whether to read the numbers now. */
  readonly gauge: Gauge;
  readonly #options: ViewOptions;
  readonly #now: () => Date;
  readonly #bar: Progress;
  readonly #report: RunReport;
  readonly #failed = new Set<string>();
  #events: EventFile | undefined;
  #page: Promise<void> = Promise.resolve();
  #step: number;

  constructor(options: ViewOptions) {
    const { folder, title, name, config, head, output } = options;
    const { total, done } = head;
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
    this.#step = done;
    this.clock = new StepClock(options.clock);
    this.gauge = new Gauge(options.clock);
    this.#report = new RunReport({
      path: join(folder, "report.html"),
      title: `${title}: ${name}`,
      config,
      total,
      ...(options.clock ? { clock: options.clock } : {}),
    });
    this.#report.add(options.earlier ?? []);
    this.#attempt("TensorBoard's events", () => {
      if (options.events) this.#events = EventFile.create(folder, this.#now(), done);
    });
    for (const line of headLines({ ...head, device: options.device.info })) this.log(line);
    output.hearWarnings((warning) => {
      this.#report.warn(warning);
      this.log(`warning: ${warning}`);
    });
    this.#bar = output.progress(title, total, "step").startAt(done);
  }

  /** A line of log.txt. */
  log(line: string): void {
    this.#attempt("log.txt", () => this.#options.log(line));
  }

  /** Shows steps whose numbers have just been read, in order; the page is written while the training goes on. */
  steps(metrics: readonly StepMetrics[]): void {
    const { names, learningRate, printEvery, device } = this.#options;
    const latest = metrics.at(-1);
    if (!latest) return;
    this.#step = latest.step;
    this.#report.add(metrics.map(({ step, values }) => ({ step, lr: learningRate(step), ...values })));
    const watched = names[0]!;
    const note = barNote([watched, latest.values[watched]!], this.clock.total(), device.memory().peakLiveBytes);
    this.#bar.update(latest.step, note);
    const printed = metrics.filter(({ step }) => step % printEvery === 0);
    if (printed.length > 0) this.#print(printed);
    this.#onPage(() => this.#report.update(() => this.#status(RUNNING)));
  }

  /** Shows what a validation found. */
  async validation(step: number, { dataSet, metrics, pictures }: SeenValidation): Promise<void> {
    for (const line of validationLines(dataSet, metrics)) this.log(line);
    const scalars = Object.entries(metrics).map(([name, { value }]) => [`metrics/${dataSet}/${name}`, value] as const);
    const values = Object.fromEntries(scalars);
    this.#report.add([{ step, ...values }]);
    await this.#report.pictures(dataSet, step, pictures);
    const images = this.#events ? await Promise.all(pictures.slice(0, MOST_PICTURES).map(encoded)) : [];
    this.#attempt("TensorBoard's events", () => {
      this.#events?.scalars(step, values, this.#now());
      for (const { name, png, size } of images) {
        this.#events?.image(`${dataSet}/${name}`, step, png, size, this.#now());
      }
    });
  }

  /** A checkpoint was written. */
  saved(path: string): void {
    this.log(`saved ${path}`);
    this.#onPage(() => this.#report.write(this.#status(RUNNING)));
  }

  /** The training is over. @param state `done`, `stopped`, or what it failed of */
  async end(state: string): Promise<void> {
    this.#bar.finish();
    this.#onPage(() => this.#report.write(this.#status(state)));
    await this.#page;
    this.#events?.close();
    this.#events = undefined;
  }

  #print(metrics: readonly StepMetrics[]): void {
    const { name, learningRate, epoch, head } = this.#options;
    const times = this.clock.lap();
    for (const { step, values } of metrics) {
      const rate = learningRate(step);
      const secondsLeft = this.clock.secondsFor(head.total - step);
      const line = { name, epoch: epoch(step), step, learningRates: [rate], secondsLeft, times, losses: values };
      this.log(stepLine(line));
      const losses = Object.entries(values).map(([loss, value]) => [`losses/${loss}`, value] as const);
      const pace = { lr: rate, "time/step": times.time, "time/data": times.parts.data ?? 0 };
      this.#attempt("TensorBoard's events", () =>
        this.#events?.scalars(step, { ...Object.fromEntries(losses), ...pace }, this.#now()),
      );
    }
  }

  #status(state: string): RunStatus {
    const { device, head } = this.#options;
    return {
      step: this.#step,
      state,
      seconds: this.clock.seconds(),
      secondsLeft: this.clock.secondsFor(head.total - this.#step),
      times: this.clock.total(),
      memory: device.memory(),
      device: `${device.info.adapter} (${device.info.backend})`,
      now: this.#now(),
    };
  }

  /** One after the other, beside the training. */
  #onPage(write: () => Promise<void>): void {
    this.#page = this.#page.then(write).catch((error: unknown) => this.#tell("report.html", error));
  }

  #attempt(what: string, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#tell(what, error);
    }
  }

  #tell(what: string, error: unknown): void {
    if (this.#failed.has(what)) return;
    // First, for the warning goes to the log as well.
    this.#failed.add(what);
    this.#options.output.warn(`${what} cannot be written; the training goes on (${oneLine(error)})`);
  }
}

async function encoded({ name, image }: ReportPicture): Promise<{ name: string; png: Uint8Array; size: typeof image }> {
  const size = await fitInto(image, PICTURE_SIDE);
  return { name, png: await encodeImage(size, "picture.png"), size };
}
