/** `report.html` of a run: one file without a network, written again while the training goes on, that shows how it goes. */
import type { MemoryReport } from "@deplsr/tensor";
import { encodeImage, fitInto, type Image } from "../data/image.ts";
import { writeFileAtomic } from "../files.ts";
import { counted } from "../output.ts";
import { byteSize, duration } from "../progress.ts";
import { lineChart, type Series } from "../report/chart.ts";
import { Curve } from "../report/curve.ts";
import {
  figure,
  fileText,
  gallery,
  type Html,
  htmlTable,
  list,
  livePage,
  page,
  paragraph,
  progressBar,
  row,
  section,
} from "../report/html.ts";
import { type Clock, percent, perStep, type StepTimes } from "./step-clock.ts";

/** What a report is about. */
export interface ReportOptions {
  /** Where it shall stand, `RUN/report.html`. */
  readonly path: string;
  /** `train sr: RealDAT_x2` */
  readonly title: string;
  /** The resolved configuration as YAML. */
  readonly config: string;
  /** Steps of the training. */
  readonly total: number;
  /** `update` writes at most this often, in milliseconds. */
  readonly every?: number;
  readonly clock?: Clock;
}

/** How a training fares at this moment. */
export interface RunStatus {
  readonly step: number;
  /** `running`, `done`, `stopped`, or what it failed of. */
  readonly state: string;
  /** Seconds of this start, and those that are left. */
  readonly seconds: number;
  readonly secondsLeft: number;
  /** Means over the steps of this start. */
  readonly times: StepTimes;
  readonly memory: MemoryReport;
  /** `WASM SIMD, 8 threads (cpu)` */
  readonly device: string;
  readonly now: Date;
}

/** A picture of a validation. */
export interface ReportPicture {
  readonly name: string;
  readonly image: Image;
}

/** A line of `metrics.jsonl`. Its keys are charts: `lr`, losses by their names, `metrics/DIV2K/psnr` for a validation. */
export type MetricsRecord = Readonly<Record<string, number | string>>;

const EVERY_MS = 30_000;
/** Pictures of a data set that are shown, here and by TensorBoard. */
export const MOST_PICTURES = 8;
/** Their longest side. */
export const PICTURE_SIDE = 480;
/** Warnings that are shown; log.txt has all. */
const MOST_WARNINGS = 50;
const VALIDATION = /^metrics\/(.+)\/([^/]+)$/;
const TITLES: Readonly<Record<string, string>> = { lr: "learning rate" };
const UNITS: Readonly<Record<string, string>> = { psnr: "dB" };

/** Gathers what the page shows, in little memory however long the training is. */
export class RunReport {
  readonly #options: ReportOptions;
  readonly #clock: Clock;
  readonly #curves = new Map<string, Curve>();
  readonly #pictures = new Map<string, PictureSet>();
  readonly #warnings: string[] = [];
  #moreWarnings = 0;
  #written = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: ReportOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** Adds records in the order of their steps; a resumed training begins with those of its `metrics.jsonl`. */
  add(records: Iterable<MetricsRecord>): void {
    for (const { step, ...values } of records) {
      if (typeof step !== "number") continue;
      for (const [key, value] of Object.entries(values)) {
        if (typeof value === "number") this.#curve(key).add(step, value);
      }
    }
  }

  /** The pictures of the latest validation on a data set; they replace those before. Of many, the first ones are shown. */
  async pictures(dataSet: string, step: number, pictures: readonly ReportPicture[]): Promise<void> {
    const figures = pictures.slice(0, MOST_PICTURES).map(async ({ name, image }) => {
      const small = await fitInto(image, PICTURE_SIDE);
      return figure(await encodeImage(small, "picture.png"), name, small.width);
    });
    this.#pictures.set(dataSet, { step, figures: await Promise.all(figures), of: pictures.length });
  }

  /** Adds a warning. */
  warn(warning: string): void {
    if (this.#warnings.length < MOST_WARNINGS) this.#warnings.push(warning);
    else this.#moreWarnings += 1;
  }

  /** Writes the file if that was not done for a while. @throws WriteError when it cannot be written */
  async update(status: () => RunStatus): Promise<void> {
    if (this.#clock() - this.#written >= (this.#options.every ?? EVERY_MS)) await this.write(status());
  }

  /** Writes the file: at a checkpoint, after a validation, at the end. @throws WriteError when it cannot be written */
  async write(status: RunStatus): Promise<void> {
    // Also where writing fails: the next try is not at the next step.
    this.#written = this.#clock();
    const before = this.#writing;
    const write = async (): Promise<void> => {
      await before.catch(() => undefined);
      await writeFileAtomic(this.#options.path, this.html(status));
    };
    this.#writing = write();
    await this.#writing;
  }

  /** The page as text. */
  html(status: RunStatus): string {
    const { title, config } = this.#options;
    const content = [
      ...this.#head(status),
      this.#charts(status.state),
      ...this.#validationPictures(),
      section("Time", timeTable(status)),
      section("Memory", memoryTable(status)),
      ...this.#warningSection(),
      section("Configuration", fileText(config)),
    ];
    const seconds = Math.ceil((this.#options.every ?? EVERY_MS) / 1000);
    return status.state === RUNNING ? livePage(title, seconds, ...content) : page(title, ...content);
  }

  #head({ step, state, seconds, secondsLeft, device, now }: RunStatus): Html[] {
    const { total } = this.#options;
    const left = state === RUNNING ? `, ${duration(secondsLeft)} left` : "";
    return [
      progressBar(step, total),
      paragraph(`${state}: step ${step} of ${total} (${percent(step / total)}), ${duration(seconds)} so far${left}`),
      paragraph(`on ${device}; as of ${now.toISOString().slice(0, 19).replace("T", " ")} UTC`),
    ];
  }

  #charts(state: string): Html {
    const charts = new Map<string, Series[]>();
    for (const [key, curve] of this.#curves) {
      const [, dataSet, metric] = VALIDATION.exec(key) ?? [];
      const title = metric ?? key;
      charts.set(title, [...(charts.get(title) ?? []), { ...curve.series(dataSet ?? ""), smooth: key !== "lr" }]);
    }
    if (charts.size === 0) return section("Curves", paragraph(state === RUNNING ? "No numbers yet." : "No numbers."));
    return section(
      "Curves",
      row(
        ...[...charts].map(([title, series]) =>
          lineChart(TITLES[title] ?? title, "step", series, Object.hasOwn(UNITS, title) ? UNITS[title] : ""),
        ),
      ),
    );
  }

  #validationPictures(): Html[] {
    return [...this.#pictures].map(([dataSet, { step, figures, of }]) =>
      section(
        `${dataSet} at step ${step}`,
        ...(of > figures.length ? [paragraph(`The first ${figures.length} of ${counted(of, "picture")}.`)] : []),
        gallery(...figures),
      ),
    );
  }

  #warningSection(): Html[] {
    if (this.#warnings.length === 0) return [];
    const more = this.#moreWarnings > 0 ? [paragraph(`And ${this.#moreWarnings} more: see log.txt.`)] : [];
    return [section("Warnings", list(this.#warnings), ...more)];
  }

  #curve(key: string): Curve {
    const curve = this.#curves.get(key) ?? new Curve();
    this.#curves.set(key, curve);
    return curve;
  }
}

interface PictureSet {
  readonly step: number;
  readonly figures: readonly Html[];
  readonly of: number;
}

/** The state of a training that goes on. */
export const RUNNING = "running";

function timeTable({ times }: RunStatus): Html {
  const parts = Object.entries(times.parts);
  const rest = times.time - parts.reduce((sum, [, time]) => sum + time, 0);
  const share = (time: number): string => (times.time > 0 ? percent(time / times.time) : "");
  const rows: [string, number][] = parts.length > 0 ? [...parts, ["everything else", Math.max(0, rest)]] : [];
  return htmlTable(
    [`mean of ${counted(times.steps, "step")}`, "time", "share"],
    [["a step", times.time] as const, ...rows].map(([name, time]) => [name, perStep(time), share(time)]),
  );
}

function memoryTable({ memory }: RunStatus): Html {
  return htmlTable(
    ["on the device", "bytes"],
    [
      ["live between steps", byteSize(memory.liveBytes)],
      ["most that were live", byteSize(memory.peakLiveBytes)],
      ["waiting for their next use", byteSize(memory.pooledBytes)],
      ["most that were held", byteSize(memory.peakBytes)],
    ],
  );
}

/** The records of a `metrics.jsonl`. Half a line, as a killed training leaves it, is left out. */
export function* recordsOf(jsonLines: string): Generator<MetricsRecord> {
  for (const line of jsonLines.split("\n")) {
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch {
      continue;
    }
    if (isRecord(record)) yield record;
  }
}

function isRecord(value: unknown): value is MetricsRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
