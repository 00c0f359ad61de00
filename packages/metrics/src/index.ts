/**
 * Image quality metrics.
 *
 * @packageDocumentation
 */

export { luma, rgbToYcbcr, type Triple, ycbcrToRgb } from "./color.ts";
export type { Channels, ComparisonOptions, Image, Plane } from "./image.ts";
export { clipiqaMetric, imageTensor, LEARNED_METRICS, type PromptedCLIP } from "./learned/catalogue.ts";
export {
  CLIPIQA,
  CLIPIQA_PROMPTS,
  type CLIPIQAResult,
  type ImageTextModel,
  type PositionOptions,
} from "./learned/clipiqa.ts";
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
export { MANIQA, MANIQA_KONIQ, type MANIQAConfig, type PatchScores, uniformCrops } from "./learned/maniqa.ts";
export { MUSIQ, MUSIQ_KONIQ, type MUSIQConfig } from "./learned/musiq.ts";
export { musiqCells, type PatchGrid } from "./learned/musiq-patches.ts";
export { MetricNetwork, type Watch } from "./learned/network.ts";
export { relativePositions, type SwinConfig, shiftMask } from "./learned/swin.ts";
export type { ViTConfig } from "./learned/vit.ts";
export type { ImageMetric, LearnedMetric, Metric, MetricInfo, SetMetric, WeightFile } from "./metric.ts";
export { fitNiqe, type NiqeModel, niqe, pristineFeatures } from "./niqe.ts";
export { analyzeNiqe, type NiqeAnalysis, type NiqeForm, type NiqeOptions } from "./niqe-features.ts";
export { formatNiqeModel, readNiqeModel } from "./niqe-file.ts";
export { OWN_PRISTINE_MODEL } from "./niqe-pristine.ts";
export { psnr, psnrPyiqa } from "./psnr.ts";
export { ssim, ssimPyiqa } from "./ssim.ts";
