/** Measuring a super-resolution network while it is trained: `datasets.val`, `val_1` … with the metrics of `val.metrics`. */
import { join } from "node:path";
import { broadcastTensors, type ProcessGroup } from "@deplsr/distributed";
import type { ImageMetric } from "@deplsr/metrics";
import type { Ema } from "@deplsr/nn";
import { assign, type Device, scope } from "@deplsr/tensor";
import { type SrRunConfig, validationSets } from "../config/sr.ts";
import { UserError } from "../errors.ts";
import { type ImageSet, listSet, measureSet } from "../measure/set.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { type Upscaler, upscaleImage } from "../upscale/upscale.ts";
import { MOST_PICTURES } from "./report-page.ts";
import type { Measured } from "./session.ts";
import { Snapshot } from "./update.ts";
import { validationMetrics, withMetrics } from "./validation-metrics.ts";

/** Side of the squares that an image is enlarged by, so that memory stays bounded. */
const TILE = 128;

/** What is validated. */
export interface ValidationOptions {
  readonly device: Device;
  readonly run: SrRunConfig;
  /** The run's folder, for images. */
  readonly folder: string;
  readonly upscaler: Upscaler;
  /** Averages, which are measured in place of the weights where they are kept. */
  readonly ema: Ema | null;
  readonly warn: (line: string) => void;
  /** The processes that share the sets. */
  readonly group: ProcessGroup;
}

/** A validation that is ready to run. */
export interface Validation {
  readonly every: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly run: (step: number) => Promise<readonly Measured[]>;
}

/** Gets a validation ready; null where the configuration has none. @throws UserError when a set cannot be listed */
export async function prepareValidation(options: ValidationOptions): Promise<Validation | null> {
  const { run } = options;
  const said = new Set<string>();
  // The same in every validation is said in the first.
  const warn = (line: string): void => {
    if (!said.has(line)) options.warn(line);
    said.add(line);
  };
  const found = validationSets(run);
  if (found.length === 0 || !run.val) {
    if (found.length > 0) options.warn("config: there are data sets to validate on, but no val: nothing is validated");
    if (run.val) options.warn("config: there is val, but no datasets.val to validate on: nothing is validated");
    return null;
  }
  const { group } = options;
  const sets = await fromFirst(group, () => Promise.all(found.map(([key, set]) => listSet(key, set, run.scale))));
  if (new Set(sets.map(({ name }) => name)).size < sets.length) {
    throw new UserError(
      `config: two of ${found.map(([key]) => `datasets.${key}`).join(", ")} have one name: give others`,
    );
  }
  const metrics = await validationMetrics(options.device, run.val.metrics ?? {}, warn);
  return {
    every: run.val.val_freq,
    counts: Object.fromEntries(found.map(([key], i) => [`datasets.${key}`, sets[i]!.items.length])),
    run: async (step) => {
      await shareStatistics(options);
      using weights = options.ema && new Snapshot(options.upscaler.network.module.stateDict().values());
      if (options.ema) useAverages(options);
      try {
        const leftOut = (line: string): void => warn(`validation: ${line}`);
        const measureAll = async (ready: readonly ImageMetric[]): Promise<readonly Measured[]> => {
          const measured: Measured[] = [];
          for (const set of sets) measured.push(await measure({ ...options, warn }, set, ready, step));
          return measured;
        };
        return await withMetrics(metrics, leftOut, measureAll, group);
      } finally {
        weights?.restore();
      }
    },
  };
}

/** Gives all processes the running statistics of the first, which each moves by its own batches and only that one saves. */
async function shareStatistics({ group, upscaler, ema }: ValidationOptions): Promise<void> {
  const buffers = upscaler.network.module.buffers();
  await broadcastTensors(group, buffers);
  if (!ema) return;
  await broadcastTensors(group, new Map([...ema.stateDict()].filter(([name]) => buffers.has(name))));
}

function useAverages({ ema, upscaler }: ValidationOptions): void {
  const own = upscaler.network.module.stateDict();
  scope(() => {
    for (const [name, average] of ema!.stateDict()) assign(own.get(name)!, average);
  });
}

async function measure(
  { device, run, folder, upscaler, warn, group }: ValidationOptions,
  set: ImageSet,
  ready: readonly ImageMetric[],
  step: number,
): Promise<Measured> {
  const { save_img: saves = false, suffix = null } = run.val ?? {};
  const { means, kept: pictures } = await measureSet(set, {
    scale: run.scale,
    metrics: ready,
    enlarge: (image) => upscaleImage(device, upscaler, image, { tile: TILE }),
    place: ({ name }) =>
      saves ? join(folder, "visualization", set.name, name, `${name}_${suffix ?? step}.png`) : null,
    keep: MOST_PICTURES,
    warn: (line) => warn(`validation: ${line}`),
    group,
  });
  const metrics = [...means].map(([name, { value, lowerBetter }]) => [name, { value, lowerBetter }] as const);
  return { dataSet: set.name, metrics: Object.fromEntries(metrics), pictures };
}
