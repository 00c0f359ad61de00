/**
 * Image degradations with captions that tell their levels: blur, noise, JPEG compression, ringing, sharpening and resizing, batched on the
 * device. Parameters are drawn on the host from a seed and are plain JSON: what was drawn can be stored and applied again.
 *
 * - `drawSemantic` and `degradeSemantic`: one image, one caption (DePLSR).
 * - `drawSecondOrder` and `degradeSecondOrder`: training pairs for super-resolution (Real-ESRGAN); `TrainingPairPool` mixes them.
 * - `drawMixture` and `degradeMixture`: pairs of which some are clean, some lightly and some heavily degraded; `PoolSchedule` tells which
 *   of them a pool gives at each step.
 *
 * @packageDocumentation
 */

export { type Augmentation, type AugmentOptions, augment } from "./augment.ts";
export { blurImages, filter2d, kernelTensor } from "./blur.ts";
export { type BlurKernelType, type BlurOptions, drawBlur, drawSinc } from "./blur-draw.ts";
export { type BlurKernel, type BlurKernelSpec, blurKernel, covariance, padKernel } from "./blur-kernel.ts";
export {
  captionParts,
  type DegradationLevels,
  degradationCaption,
  FINE_FEATURES,
  fineLabels,
  labelValue,
  parseCaption,
  type ZeroTexts,
} from "./caption.ts";
export type { Range } from "./chance.ts";
export { applyColorMatrix, RGB_TO_YCBCR, YCBCR_TO_RGB } from "./color.ts";
export { type ImresizeOptions, imresize } from "./imresize.ts";
export { diffJpeg, type JpegOptions, quantizationFactor } from "./jpeg.ts";
export { roundTo255Levels } from "./levels.ts";
export {
  degradeMixture,
  drawMixture,
  type MixtureDraw,
  type MixtureOptions,
  type MixtureShares,
  type MixtureWay,
} from "./mixture.ts";
export {
  addGaussianNoise,
  addPoissonNoise,
  type GaussianNoise,
  type NoiseOptions,
  type PoissonNoise,
  poissonRate,
} from "./noise.ts";
export { addNoise, type NoiseDraw, type NoiseDrawOptions } from "./noise-draw.ts";
export { type HostImages, TrainingPairPool, type TrainingPairPoolState } from "./pair-pool.ts";
export { type PoolBatch, PoolSchedule } from "./pool-schedule.ts";
export { type ResizeMode, type ResizeTarget, resize } from "./resize.ts";
export { degradeSecondOrder, type TrainingPair } from "./second-order.ts";
export {
  drawSecondOrder,
  type ResizeDraw,
  SECOND_ORDER_OPTIONS,
  type SecondOrderDraw,
  type SecondOrderOptions,
  type SecondStageOptions,
  type StageDraw,
  type StageOptions,
  smallestSide,
} from "./second-order-draw.ts";
export { type Chain, degradeSemantic } from "./semantic.ts";
export {
  drawSemantic,
  kernelSize,
  levelsOf,
  SEMANTIC_OPTIONS,
  type SemanticDraw,
  type SemanticOptions,
  sigmaGrid,
} from "./semantic-draw.ts";
export { type UsmOptions, usmKernel, usmSharpen } from "./usm.ts";
