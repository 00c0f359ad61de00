/**
 * CLIP: tokenizer, image preprocessing, the image and text towers, and the contrastive losses, compatible with open_clip's
 * weights. Images are (b, 3, s, s), normalised with `CLIP_MEAN` and `CLIP_STD`; texts are token ids (b, n) i32.
 *
 * @packageDocumentation
 */

export * from "./augment.ts";
export * from "./block.ts";
export * from "./clean.ts";
export type { ColorJitter } from "./color-jitter.ts";
export * from "./config.ts";
export { startFromCosines } from "./cosine-patches.ts";
export * from "./detect.ts";
export * from "./distinct.ts";
export { fixText } from "./fix-text.ts";
export { unescapeHtml } from "./html.ts";
export type { PixelImage, Rectangle } from "./image.ts";
export { clipName } from "./keys.ts";
export * from "./load.ts";
export * from "./loss.ts";
export * from "./model.ts";
export * from "./open-clip-config.ts";
export * from "./position.ts";
export * from "./preprocess.ts";
export * from "./resize.ts";
export * from "./resnet.ts";
export * from "./resnet-clip.ts";
export * from "./retrieval.ts";
export * from "./state.ts";
export * from "./text.ts";
export * from "./tokenizer.ts";
export * from "./vision.ts";
export * from "./vocabulary.ts";
export * from "./zero-shot.ts";
