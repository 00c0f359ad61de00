/** The metrics that `deplsr iqa` knows. */
import {
  type Channels,
  type Image,
  type ImageMetric,
  LEARNED_METRICS,
  type LearnedMetric,
  type Metric,
  type NiqeModel,
  niqe,
  psnr,
  psnrPyiqa,
  ssim,
  ssimPyiqa,
} from "@deplsr/metrics";
import { nearest, UsageError } from "../errors.ts";
import { CLIPIQA_METRIC } from "./clipiqa.ts";

/** What the scores of metrics without weights depend on. */
export interface MetricSettings {
  readonly channels: Channels;
  readonly cropBorder: number;
  readonly niqeModel: NiqeModel;
}

/** Metrics by name; learned ones have yet to be given their weights. */
export function knownMetrics({ channels, cropBorder, niqeModel }: MetricSettings): (Metric | LearnedMetric)[] {
  const border = cropBorder > 0 ? `, crop ${cropBorder}` : "";
  const region = `${channels}${border}`;
  const model = niqeModel.label;
  return [
    compared("psnr", region, (image, reference) => psnr(image, reference, { channels, cropBorder })),
    compared("ssim", region, (image, reference) => ssim(image, reference, { channels, cropBorder })),
    natural("niqe", `${model}${border}`, (image) => niqe(image, niqeModel, { cropBorder })),
    compared("psnr-pyiqa", "rgb", psnrPyiqa),
    compared("ssim-pyiqa", "y", ssimPyiqa),
    natural("niqe-pyiqa", model, (image) => niqe(image, niqeModel, { form: "pyiqa" })),
    ...LEARNED_METRICS,
    CLIPIQA_METRIC,
  ];
}

/**
 * The metrics that a command line asks for.
 *
 * @param names with commas between; undefined for what goes without saying
 * @throws UsageError for a name that is unknown, or a metric that needs the references that are not given
 */
export function chooseMetrics(
  names: string | undefined,
  hasReferences: boolean,
  settings: MetricSettings,
): (Metric | LearnedMetric)[] {
  const known = knownMetrics(settings);
  const wanted = (names ?? (hasReferences ? "psnr,ssim,niqe" : "niqe")).toLowerCase().split(",");
  return [...new Set(wanted.map((name) => name.trim()))].map((name) => {
    const metric = known.find((one) => one.name === name);
    if (!metric) {
      const all = known.map((one) => one.name);
      const meant = nearest(name, all);
      throw new UsageError(
        `--metrics: "${name}" is not known${meant === undefined ? "" : `, is "${meant}" meant?`} (there are ${all.join(", ")})`,
      );
    }
    if (metric.needsReference && !hasReferences) {
      throw new UsageError(
        `--metrics: ${metric.name} compares with a reference: give one with --ref, or --set NAME=SR,HR`,
      );
    }
    return metric;
  });
}

function compared(name: string, settings: string, score: (image: Image, reference: Image) => number): ImageMetric {
  return {
    name,
    label: `${name} (${settings})`,
    lowerBetter: false,
    needsReference: true,
    score: (image, reference) => {
      if (!reference) throw new Error(`internal: ${name} has no reference`);
      return score(image, reference);
    },
  };
}

function natural(name: string, settings: string, score: (image: Image) => number): ImageMetric {
  return { name, label: `${name} (${settings})`, lowerBetter: true, needsReference: false, score };
}
