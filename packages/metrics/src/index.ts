/**
 * Image quality metrics.
 *
 * @packageDocumentation
 */

export type { Channels, ComparisonOptions, Image } from "./image.ts";
export { luma } from "./image.ts";
export { CNNIQA, CNNIQA_KONIQ, type CNNIQAConfig } from "./learned/cnniqa.ts";
export { DISTS, l2Pool, type Similarities } from "./learned/dists.ts";
export { fidNormalize, fidResize } from "./learned/fid.ts";
export {
  type FeatureSet,
  type FeatureStatistics,
  type FrechetDistance,
  featureStatistics,
  frechetDistance,
} from "./learned/frechet.ts";
export { InceptionV3 } from "./learned/inception.ts";
export { LPIPS, type LPIPSNet } from "./learned/lpips.ts";
export { MetricNetwork } from "./learned/network.ts";
export type { ImageMetric, LearnedMetric, Metric, MetricInfo, SetMetric, WeightFile } from "./metric.ts";
export { psnr, psnrPyiqa } from "./psnr.ts";
export { ssim, ssimPyiqa } from "./ssim.ts";
