/** Measuring a super-resolution network while it is trained: `datasets.val`, `val_1` … with the metrics of `val.metrics`. */
import { join } from "node:path";
import type { ImageMetric } from "@deplsr/metrics";
import type { Ema } from "@deplsr/nn";
import { assign, type Device, scope } from "@deplsr/tensor";
import { type SrRunConfig, validationSets } from "../config/sr.ts";
import type { MeasuredSet } from "../config/sr-data.ts";
import { listImages, stem } from "../data/folder.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { listPairs, readPair } from "../data/paired.ts";
import { oneLine, UserError } from "../errors.ts";
import { type Upscaler, upscaleImage } from "../upscale/upscale.ts";
import { MOST_PICTURES } from "./report-page.ts";
import type { Measured } from "./session.ts";
import { Snapshot } from "./update.ts";
import { validationMetrics, withMetrics } from "./validation-metrics.ts";

/** Side of the squares that an image is enlarged by, so that memory stays bounded. */
const TILE = 128;

interface Item {
  readonly name: string;
  readonly lq: string;
  readonly gt: string | null;
}

interface ImageSet {
  readonly name: string;
  readonly items: readonly Item[];
}

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
  const sets = await Promise.all(found.map(([key, set]) => listSet(key, set, run.scale)));
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
      using weights = options.ema && new Snapshot(options.upscaler.network.module.stateDict().values());
      if (options.ema) useAverages(options);
      try {
        const leftOut = (line: string): void => warn(`validation: ${line}`);
        return await withMetrics(metrics, leftOut, async (ready) => {
          const measured: Measured[] = [];
          for (const set of sets) measured.push(await measure({ ...options, warn }, set, ready, step));
          return measured;
        });
      } finally {
        weights?.restore();
      }
    },
  };
}

function useAverages({ ema, upscaler }: ValidationOptions): void {
  const own = upscaler.network.module.stateDict();
  scope(() => {
    for (const [name, average] of ema!.stateDict()) assign(own.get(name)!, average);
  });
}

async function listSet(key: string, source: MeasuredSet, scale: number): Promise<ImageSet> {
  const name = source.name === "data" ? key : source.name;
  const { type, dataroot_lq: roots } = source;
  if (type !== "SingleImageDataset") {
    const { pairs } = await listPairs({ ...source, type }, scale, `datasets.${key}`);
    return { name, items: pairs.map(({ gt, lq }) => ({ name: stem(lq), lq, gt })) };
  }
  if (roots === null) throw new UserError(`config: datasets.${key}.dataroot_lq is missing: a folder of images`);
  const images = (await Promise.all([roots].flat().map((root) => listImages(root)))).flat();
  return { name, items: images.map((lq) => ({ name: stem(lq), lq, gt: null })) };
}

async function measure(
  { device, run, folder, upscaler, warn }: ValidationOptions,
  { name, items }: ImageSet,
  metrics: readonly ImageMetric[],
  step: number,
): Promise<Measured> {
  const scores = new Map<ImageMetric, number[]>(metrics.map((metric) => [metric, []]));
  const pictures: { name: string; image: Image }[] = [];
  for (const item of items) {
    try {
      const pair = item.gt === null ? null : await readPair({ gt: item.gt, lq: item.lq }, run.scale);
      const image = await upscaleImage(device, upscaler, pair?.lq ?? (await readImage(item.lq)), { tile: TILE });
      for (const [metric, values] of scores) {
        if (!pair && metric.needsReference) continue;
        try {
          values.push(await metric.score(image, pair?.gt));
        } catch (error) {
          // Too small for it, say.
          warn(`validation: ${item.lq} is left out of ${metric.name}: ${oneLine(error)}`);
        }
      }
      if (pictures.length < MOST_PICTURES) pictures.push({ name: item.name, image });
      if (run.val?.save_img) {
        const file = `${item.name}_${run.val.suffix ?? step}.png`;
        await writeImage(join(folder, "visualization", name, item.name, file), image);
      }
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      warn(`validation: ${item.lq} is left out: ${oneLine(error)}`);
    }
  }
  const means = [...scores].flatMap(([metric, values]) => {
    if (values.length === 0) return [];
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return [[metric.name, { value: mean, lowerBetter: metric.lowerBetter }] as const];
  });
  return { dataSet: name, metrics: Object.fromEntries(means), pictures };
}
