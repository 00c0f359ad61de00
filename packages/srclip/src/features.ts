import { type CLIP, type CLIPOptions, encodeDistinct, normalizeFeatures } from "@deplsr/clip";
import { narrow, reshape, select, type Tensor } from "@deplsr/tensor";

/** Features of images; what a model has no part for is null. */
export interface ImageFeatures {
  /** What the image shows, (b, embedDim). */
  readonly content: Tensor;
  /** How it is degraded, (b, embedDim); null where the adaptor was not asked. */
  readonly degradation: Tensor | null;
  /** Its single degradations, (b, kinds, embedDim); null where the adaptor was not asked, and in V1. */
  readonly fine: Tensor | null;
}

/** Features of the texts that belong to images, of length 1, as `ImageFeatures`. */
export interface TextFeatures {
  readonly caption: Tensor;
  readonly degradation: Tensor;
  readonly fine: Tensor | null;
}

/** How images are encoded. */
export interface ImageOptions extends CLIPOptions {
  /** Let the adaptor see the image and control the content features; default true. */
  readonly control?: boolean;
}

/** How a batch runs. */
export interface SrCLIPOptions {
  /** Recompute each block of the towers in the backward pass instead of storing its activations. */
  readonly checkpoint?: boolean;
}

/** What there is to compare: images, texts, or both. */
export interface SrCLIPInput {
  /** (b, 3, s, s), normalised with CLIP's mean and deviation */
  readonly image?: Tensor;
  /**
   * Token ids on the host, (b, rows, contextLength): caption, degradation and, in V2, each single degradation. Different
   * texts are encoded once.
   */
  readonly ids?: Int32Array;
}

/** Everything that the losses need; parts that were not given are null. */
export interface SrCLIPOutput {
  readonly image: ImageFeatures | null;
  readonly text: TextFeatures | null;
  /** Scalar factor on the logits. */
  readonly logitScale: Tensor;
  /** Scalar, with the SigLIP loss. */
  readonly logitBias: Tensor | null;
}

/** The same features, of length 1. */
export function normalizedImageFeatures({ content, degradation, fine }: ImageFeatures): ImageFeatures {
  return {
    content: normalizeFeatures(content),
    degradation: degradation && normalizeFeatures(degradation),
    fine: fine && normalizeFeatures(fine),
  };
}

/**
 * Features of length 1 of the texts of b images, from ids on the host, `rows` texts for each image; see `SrCLIPInput`.
 * @throws RangeError when the ids are not whole images' texts
 */
export function encodeTextRows(clip: CLIP, ids: Int32Array, rows: number, options: SrCLIPOptions = {}): TextFeatures {
  const { contextLength } = clip.config.text;
  const b = ids.length / (rows * contextLength);
  if (!Number.isInteger(b) || b === 0) {
    throw new RangeError(`SRCLIP: ${ids.length} token ids are not ${rows} texts of ${contextLength} for each image`);
  }
  const features = encodeDistinct(clip, ids, { ...options, normalize: true }); // (b * rows, e)
  const grouped = reshape(features, [b, rows, clip.config.embedDim]);
  return {
    caption: select(grouped, 1, 0),
    degradation: select(grouped, 1, 1),
    fine: rows > 2 ? narrow(grouped, 1, 2, rows - 2) : null,
  };
}
