/**
 * Image degradations with captions that tell their levels: blur, noise, JPEG compression, ringing and resizing, batched on the device.
 * Parameters are drawn on the host from a seed (`drawSemantic`) and are plain JSON; `degradeSemantic` applies them.
 *
 * @packageDocumentation
 */

export { blurImages, filter2d, kernelTensor } from "./blur.ts";
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
export { applyColorMatrix, RGB_TO_YCBCR, YCBCR_TO_RGB } from "./color.ts";
export {
  type BlurKernelOptions,
  type BlurKernelType,
  drawBlurKernel,
  drawSemantic,
  drawSinc,
  kernelSize,
  levelsOf,
  type Range,
  SEMANTIC_OPTIONS,
  type SemanticDraw,
  type SemanticOptions,
  sigmaGrid,
} from "./draw.ts";
export { type ImresizeOptions, imresize } from "./imresize.ts";
export { diffJpeg, type JpegOptions, quantizationFactor } from "./jpeg.ts";
export { roundTo255Levels } from "./levels.ts";
export {
  addGaussianNoise,
  addPoissonNoise,
  type GaussianNoise,
  type NoiseOptions,
  type PoissonNoise,
  poissonRate,
} from "./noise.ts";
export { type Chain, degradeSemantic } from "./pipeline.ts";
export { type ResizeMode, type ResizeTarget, resize } from "./resize.ts";
export { type UsmOptions, usmKernel, usmSharpen } from "./usm.ts";
