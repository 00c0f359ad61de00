/** `--dry-run`: what a training would be, from three steps of it, without a run folder. */
import type { Device, Tensor } from "@deplsr/tensor";
import { stringify } from "yaml";
import { UserError } from "../errors.ts";
import { table } from "../output.ts";
import { byteSize, duration } from "../progress.ts";
import type { TrainingState } from "./checkpoint.ts";
import type { ParameterCounts } from "./run-log.ts";
import { type Clock, perStep } from "./step-clock.ts";

/** The part of a prepared training that is tried. */
export interface TriedTraining {
  readonly total: number;
  /** Names of the values that `step` returns, in order. */
  readonly names: readonly string[];
  /** Trains one step, from 1. → its values, (k,) */
  readonly step: (step: number) => Tensor | Promise<Tensor>;
  /** What its checkpoints hold. */
  readonly state: () => Pick<TrainingState, "description" | "model" | "optimizer" | "ema">;
}

/** What the steps measured. */
export interface DryRun {
  readonly parameters: ParameterCounts;
  /** The counts by the first word of the parameters' names. */
  readonly parts: Readonly<Record<string, ParameterCounts>>;
  /** Seconds of each step; the first one compiles kernels and fills caches. */
  readonly seconds: readonly number[];
  /** Of the whole training: what the first step took beyond the others, and all as long as those. */
  readonly totalSeconds: number;
  readonly memory: {
    /** Bytes that are live between steps: weights and what the optimizer keeps. */
    readonly between: number;
    /** The most that were live, in a step or while the weights were loaded. */
    readonly highest: number;
  };
  readonly checkpoint: {
    /** Bytes of a checkpoint's tensors. */
    readonly bytes: number;
    /** The file of the CLIP that it holds by reference. */
    readonly clip: string | null;
  };
  /** Values of the last step. */
  readonly values: Readonly<Record<string, number>>;
}

const STEPS = 3;

/**
 * Does three steps and measures them.
 *
 * @param parameters of the network, by name
 * @throws UserError when a value is NaN or infinite
 */
export async function tryTraining(
  device: Device,
  training: TriedTraining,
  parameters: ReadonlyMap<string, Tensor>,
  clock: Clock = () => performance.now(),
): Promise<DryRun> {
  const seconds: number[] = [];
  let values: Record<string, number> = {};
  for (let step = 1; step <= Math.min(STEPS, training.total); step++) {
    const started = clock();
    using result = await training.step(step);
    const numbers = await result.data();
    await device.sync();
    seconds.push((clock() - started) / 1000);
    values = Object.fromEntries(training.names.map((name, i) => [name, numbers[i]!]));
    checkValues(values, step);
  }
  const { liveBytes, peakLiveBytes } = device.memory();
  const { parts, ...counts } = countParameters(parameters);
  return {
    parameters: counts,
    parts,
    seconds,
    totalSeconds: estimate(seconds, training.total),
    memory: { between: liveBytes, highest: peakLiveBytes },
    checkpoint: checkpointSize(training.state()),
    values,
  };
}

function checkpointSize({
  description,
  model,
  optimizer,
  ema,
}: ReturnType<TriedTraining["state"]>): DryRun["checkpoint"] {
  const parts = [model, optimizer.stateDict().tensors, ...(ema ? [ema.stateDict()] : [])];
  const values = parts.flatMap((part) => [...part.values()].map(({ size }) => size));
  const bytes = values.reduce((sum, size) => sum + size * Float32Array.BYTES_PER_ELEMENT, 0);
  return { bytes, clip: description.clip?.absolute ?? null };
}

/** How many numbers parameters have, in all and by the first word of their names. */
export function countParameters(
  parameters: ReadonlyMap<string, Tensor>,
): ParameterCounts & { readonly parts: Readonly<Record<string, ParameterCounts>> } {
  const parts = new Map<string, ParameterCounts>();
  const sum = { all: 0, trained: 0 };
  for (const [name, { size, requiresGrad }] of parameters) {
    const part = name.split(".", 1)[0]!;
    const trained = requiresGrad ? size : 0;
    const before = parts.get(part) ?? { all: 0, trained: 0 };
    parts.set(part, { all: before.all + size, trained: before.trained + trained });
    sum.all += size;
    sum.trained += trained;
  }
  return { ...sum, parts: Object.fromEntries(parts) };
}

/** What a dry run says. @param config the configuration with every default filled in */
export function dryRunLines(config: unknown, total: number, run: DryRun): string[] {
  const { seconds, memory, checkpoint } = run;
  const rows: [string, ParameterCounts][] = [...Object.entries(run.parts), ["all", run.parameters]];
  const mean = later(seconds);
  return [
    ...stringify(config).trimEnd().split("\n"),
    "",
    ...table(
      ["parameters", "number", "trained"],
      rows.map(([name, { all, trained }]) => [name, String(all), String(trained)]),
    ),
    "",
    `memory: ${byteSize(memory.between)} between steps, ${byteSize(memory.highest)} at most`,
    `checkpoints: ${byteSize(checkpoint.bytes)} each${checkpoint.clip === null ? "" : `, with the CLIP by reference to ${checkpoint.clip}`}`,
    `time: ${perStep(seconds[0]!)} for the first step, ${perStep(mean)} for each one after it; about ${duration(run.totalSeconds)} for ${total} steps without validations and checkpoints`,
    `values of step ${seconds.length}: ${Object.entries(run.values)
      .map(([name, value]) => `${name} ${value.toExponential(4)}`)
      .join(", ")}`,
    "dry run: nothing was written",
  ];
}

/** The mean of the steps after the first one; of that where there is no other. */
function later(seconds: readonly number[]): number {
  const rest = seconds.length > 1 ? seconds.slice(1) : seconds;
  return rest.reduce((sum, value) => sum + value, 0) / rest.length;
}

function estimate(seconds: readonly number[], total: number): number {
  const mean = later(seconds);
  return Math.max(0, seconds[0]! - mean) + mean * total;
}

function checkValues(values: Readonly<Record<string, number>>, step: number): void {
  const bad = Object.entries(values).find(([, value]) => !Number.isFinite(value));
  if (bad)
    throw new UserError(`train: ${bad[0]} is ${bad[1]} at step ${step}: lower the learning rate or clip the gradients`);
}
