/**
 * Image quality metrics of pairs of 8-bit images.
 *
 * @packageDocumentation
 */

export type { Channels, ComparisonOptions, Image } from "./image.ts";
export { luma } from "./image.ts";
export type { ImageMetric, LearnedMetric, Metric, MetricInfo, SetMetric, WeightFile } from "./metric.ts";
export { psnr, psnrPyiqa } from "./psnr.ts";
export { ssim, ssimPyiqa } from "./ssim.ts";
