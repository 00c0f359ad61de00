/** The lines of a run's log.txt, in the words of the original's logs, so that what reads those reads these. */
import type { BackendInfo } from "@deplsr/tensor";
import { counted } from "../output.ts";
import type { StepTimes } from "./step-clock.ts";

/** What the head of a log tells. */
export interface RunHead {
  /** The words of the command line, `["train", "sr", "--config", "a.yml"]`. */
  readonly command: readonly string[];
  /** Versions by name, see `versions`. */
  readonly versions: Readonly<Record<string, string>>;
  readonly device: Pick<BackendInfo, "backend" | "adapter" | "reason">;
  /** Items by data set, `datasets.train`. */
  readonly dataSets: Readonly<Record<string, number>>;
  /** What is trained, `RealDAT`, and its numbers of parameters. */
  readonly network: string;
  readonly parameters: ParameterCounts;
  /** Steps done before, where the run is resumed. */
  readonly done: number;
  readonly total: number;
}

/** How many numbers a network has. */
export interface ParameterCounts {
  readonly all: number;
  readonly trained: number;
}

/** The head of a log. */
export function headLines(head: RunHead): string[] {
  const { all, trained } = head.parameters;
  return [
    `command: ${commandLine(head.command)}`,
    `versions: ${Object.entries(head.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}`,
    `device: ${head.device.adapter} (${head.device.backend}; ${head.device.reason})`,
    ...Object.entries(head.dataSets).map(([name, items]) => `data: ${name} has ${counted(items, "item")}`),
    `network: ${head.network} with ${counted(all, "parameter")}${trained === all ? "" : `, ${trained} of them trained`}`,
    head.done === 0
      ? `training: ${counted(head.total, "step")}`
      : `training: resumed after step ${head.done} of ${head.total}`,
  ];
}

/** A command line that can be pasted into a shell. */
export function commandLine(words: readonly string[]): string {
  return ["deplsr", ...words].map(quoted).join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''").replace(/\s+/g, " ")}'`;
}

/** What a line of the log tells about a step. */
export interface StepLine {
  /** The run's name; its first five letters are shown. */
  readonly name: string;
  /** From 0. */
  readonly epoch: number;
  readonly step: number;
  /** One for each group of parameters. */
  readonly learningRates: readonly number[];
  readonly secondsLeft: number;
  /** Means since the line before. */
  readonly times: StepTimes;
  readonly losses: Readonly<Record<string, number>>;
}

/** `[RealD..][epoch:  0, iter:     100, lr:(2.000e-04,)] [eta: 1 day, 2:03:04, time (data): 0.123 (0.001)] l_pix: 1.2345e-02` */
export function stepLine({ name, epoch, step, learningRates, secondsLeft, times, losses }: StepLine): string {
  const rates = learningRates.map((rate) => `${scientific(rate, 3)},`).join("");
  const place = `epoch:${String(epoch).padStart(3)}, iter:${grouped(step).padStart(8)}, lr:(${rates})`;
  const data = times.parts.data ?? 0;
  const pace = `eta: ${eta(secondsLeft)}, time (data): ${times.time.toFixed(3)} (${data.toFixed(3)})`;
  const values = Object.entries(losses).map(([loss, value]) => `${loss}: ${scientific(value, 4)}`);
  return `[${name.slice(0, 5)}..][${place}] [${pace}] ${values.join(" ")}`;
}

/** A metric of a validation and its best value so far. */
export interface ValidationValue {
  readonly value: number;
  readonly best: number;
  readonly bestStep: number;
}

/** The original's lines: `Validation DIV2K` and `\t # psnr: 25.2728\tBest: 25.2728 @ 5000 iter` for each metric. */
export function validationLines(dataSet: string, metrics: Readonly<Record<string, ValidationValue>>): string[] {
  return [
    `Validation ${dataSet}`,
    ...Object.entries(metrics).map(
      ([name, { value, best, bestStep }]) =>
        `\t # ${name}: ${value.toFixed(4)}\tBest: ${best.toFixed(4)} @ ${bestStep} iter`,
    ),
  ];
}

/** Open_clip's line: `Eval Epoch: 3 image_to_text_R@1: 0.5000\tclip_val_loss: 1.2345`. @param epoch whole ones that are done */
export function evaluationLine(epoch: number, values: Readonly<Record<string, number>>): string {
  const all = Object.entries(values).map(([name, value]) => `${name}: ${value.toFixed(4)}`);
  return `Eval Epoch: ${epoch} ${all.join("\t")}`;
}

/** A span of time as Python's `timedelta` writes it: `0:00:05`, `1 day, 2:03:04`; `?` where it is not known. */
export function eta(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = `${Math.floor((whole % 86_400) / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
  const days = Math.floor(whole / 86_400);
  return days === 0 ? time : `${counted(days, "day")}, ${time}`;
}

/** A number as C writes it: two digits of the exponent at least, `2.000e-04`. */
export function scientific(value: number, digits: number): string {
  return value.toExponential(digits).replace(/e([+-])(\d)$/, "e$10$2");
}

/** `500,000` */
function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
