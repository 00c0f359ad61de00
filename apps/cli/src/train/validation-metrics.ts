/** The metrics of `val.metrics`: those that are a formula, and those that learned something and need their weights. */
import { type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import {
  type ImageMetric,
  LEARNED_METRICS,
  type LearnedMetric,
  type Metric,
  niqe,
  OWN_PRISTINE_MODEL,
  psnr,
  ssim,
} from "@deplsr/metrics";
import type { Device } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { CLIPIQA_METRIC } from "../iqa/clipiqa.ts";
import { missingWeights, openMetric } from "../iqa/weights.ts";
import { gather } from "../ranks/exchange.ts";

type MetricConfig = NonNullable<NonNullable<SrRunConfig["val"]>["metrics"]>[string];
type Warn = (line: string) => void;

/** A metric by its name in the configuration. */
export interface ValidationMetric {
  readonly name: string;
  /** Gets it ready. A learned one is read from its files for every validation, so that it takes no memory from the training. */
  readonly open: () => ImageMetric | Promise<ImageMetric>;
}

/** The metrics of a configuration, each opened once to see that it can be. What cannot is left out with a warning. */
export async function validationMetrics(
  device: Device,
  configs: Readonly<Record<string, MetricConfig>>,
  warn: Warn,
): Promise<ValidationMetric[]> {
  const metrics = Object.entries(configs).map(([name, config]) => metricOf(device, name, config));
  const usable: ValidationMetric[] = [];
  const leftOut: Warn = (line) => warn(`config: val.metrics.${line}`);
  for (const metric of metrics) {
    if (await withMetrics([metric], leftOut, async ([ready]) => ready !== undefined)) usable.push(metric);
  }
  return usable;
}

/**
 * Runs `work` with metrics that are ready, and gives back what they hold. One that cannot be opened, in this process or another of the group, is left out with
 * a warning.
 */
export async function withMetrics<T>(
  metrics: readonly ValidationMetric[],
  warn: Warn,
  work: (ready: readonly ImageMetric[]) => Promise<T>,
  group: ProcessGroup = new SingleProcess(),
): Promise<T> {
  const ready: ImageMetric[] = [];
  try {
    for (const metric of metrics) {
      try {
        ready.push(await metric.open());
      } catch (error) {
        if (!(error instanceof UserError) && systemCode(error) === undefined) throw error;
        warn(`${metric.name} is left out: ${oneLine(error)}`);
      }
    }
    return await work(await openedByAll(group, ready, warn));
  } finally {
    for (const metric of ready) metric.dispose?.();
  }
}

/** The metrics that all processes have opened: scores are matched by their places. */
async function openedByAll(group: ProcessGroup, ready: readonly ImageMetric[], warn: Warn): Promise<ImageMetric[]> {
  const all = await gather(group, { host: group.host, names: ready.map(({ name }) => name) });
  return ready.filter(({ name }) => {
    const lacking = all.findIndex(({ names }) => !names.includes(name));
    if (lacking >= 0)
      warn(`${name} is left out: rank ${lacking} (${all[lacking]!.host}) cannot open it, see its files there`);
    return lacking < 0;
  });
}

function metricOf(device: Device, name: string, config: MetricConfig): ValidationMetric {
  const lowerBetter = config.better === "lower";
  const formula = (needsReference: boolean, score: ImageMetric["score"]): ValidationMetric => ({
    name,
    open: () => ({ name, lowerBetter, needsReference, score }),
  });
  switch (config.type) {
    case "calculate_psnr":
    case "calculate_ssim": {
      const compare = config.type === "calculate_psnr" ? psnr : ssim;
      const channels = config.test_y_channel ? "y" : "rgb";
      const how = { channels, cropBorder: config.crop_border } as const;
      return formula(true, (image, reference) => compare(image, reference!, how));
    }
    case "calculate_niqe": {
      const how = { cropBorder: config.crop_border };
      return formula(false, (image) => niqe(image, OWN_PRISTINE_MODEL, how));
    }
    default: {
      const { type, weights } = config;
      const learned = [...LEARNED_METRICS, CLIPIQA_METRIC].find((metric) => metric.name === type);
      if (!learned) throw new Error(`internal: there is no metric ${type}`);
      return { name, open: async () => ({ ...(await opened(learned, weights, device)), name, lowerBetter }) };
    }
  }
}

async function opened(learned: LearnedMetric, folder: string, device: Device): Promise<ImageMetric> {
  const missing = await missingWeights(learned, folder);
  if (missing !== undefined) throw new UserError(missing);
  const metric: Metric = await openMetric(learned, folder, device);
  if (!("score" in metric)) throw new Error(`internal: ${learned.name} scores no single images`);
  return metric;
}
