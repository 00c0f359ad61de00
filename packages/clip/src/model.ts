import { type FieldNames, type Init, Module, parameter } from "@deplsr/nn";
import {
  add,
  assign,
  clamp,
  exp,
  l2Normalize,
  matmul,
  mul,
  noGrad,
  scope,
  type Tensor,
  transpose,
} from "@deplsr/tensor";
import type { CLIPConfig } from "./config.ts";
import { CLIP_NAMES } from "./keys.ts";
import { imageGroups, lockTower, textGroups } from "./lock.ts";
import { TextTransformer } from "./text.ts";
import { VisionTransformer } from "./vision.ts";

/** How features are returned: as they are, or of length 1. */
export interface EncodeOptions {
  readonly normalize?: boolean;
}

/** How a CLIP encodes. */
export interface CLIPOptions extends EncodeOptions {
  /** Recompute each block in the backward pass instead of storing its activations: less memory for more time. */
  readonly checkpoint?: boolean;
}

/** Largest value of the logarithm of the logit scale; the smallest is 0. */
export const LOGIT_SCALE_LIMIT: number = Math.log(100);

/** What a pass over image and text gives; normalised features, the scale as a factor. */
export interface CLIPOutput {
  readonly imageFeatures: Tensor;
  readonly textFeatures: Tensor;
  readonly logitScale: Tensor;
  readonly logitBias: Tensor | null;
}

/** An image tower and a text tower whose features are compared. @see https://arxiv.org/abs/2103.00020 */
export class CLIP extends Module {
  readonly visual: VisionTransformer;
  readonly text: TextTransformer;
  /** Scalar: the logarithm of the factor on the logits. */
  readonly logitScale: Tensor;
  /** Scalar added to the logits, where the configuration has one. */
  readonly logitBias: Tensor | null;
  readonly config: CLIPConfig;

  constructor(config: CLIPConfig, init: Init) {
    super();
    this.visual = VisionTransformer.make(config, init);
    this.text = new TextTransformer(config, init);
    const { logitScaleStart, logitBiasStart } = config;
    this.logitScale = parameter(init.device.full([], logitScaleStart));
    this.logitBias = logitBiasStart === null ? null : parameter(init.device.full([], logitBiasStart));
    this.config = config;
  }

  override fieldNames(): FieldNames {
    return CLIP_NAMES;
  }

  /** Images `(b, 3, s, s)`, normalised by CLIP's mean and deviation, to features `(b, embedDim)`. */
  encodeImage(image: Tensor, { normalize = false, checkpoint = false }: CLIPOptions = {}): Tensor {
    return normalizeIf(normalize, this.visual.forward(image, { checkpoint }));
  }

  /** Token ids `(b, n) i32` to features `(b, embedDim)`. */
  encodeText(ids: Tensor, { normalize = false, checkpoint = false }: CLIPOptions = {}): Tensor {
    return normalizeIf(normalize, this.text.forward(ids, { checkpoint }));
  }

  forward(image: Tensor, ids: Tensor, options: Omit<CLIPOptions, "normalize"> = {}): CLIPOutput {
    return {
      imageFeatures: this.encodeImage(image, { ...options, normalize: true }),
      textFeatures: this.encodeText(ids, { ...options, normalize: true }),
      logitScale: exp(this.logitScale),
      logitBias: this.logitBias,
    };
  }

  /**
   * Takes the image tower out of training, as open_clip's `lock_image_tower`, but for its last `unlockedGroups`: counted from the
   * end, the projection, the last block with the last normalisation, each block before, and what stands before the blocks.
   *
   * @see https://arxiv.org/abs/2111.07991
   */
  lockImageTower(unlockedGroups = 0): void {
    lockTower(this.visual, imageGroups(this.visual), unlockedGroups);
  }

  /** As `lockImageTower`, of the text tower; before its blocks stand the embeddings of tokens and positions. */
  lockTextTower(unlockedLayers = 0): void {
    lockTower(this.text, textGroups(this.text), unlockedLayers);
  }
}

/** Divides each feature by its length (at least 1e-12). */
export function normalizeFeatures(features: Tensor): Tensor {
  return l2Normalize(features, { dim: -1 });
}

function normalizeIf(normalize: boolean, features: Tensor): Tensor {
  return normalize ? normalizeFeatures(features) : features;
}

/** `scale · image · textᵀ (+ bias)`: features `(..., b, e)` and `(..., t, e)` → `(..., b, t)`. */
export function logits(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor | null = null): Tensor {
  const scaled = mul(matmul(image, transpose(text, -2, -1)), scale);
  return bias ? add(scaled, bias) : scaled;
}

/** Brings a logit scale back into [0, ln 100]; to be called after each optimizer step. */
export function clampLogitScale(logitScale: Tensor): void {
  noGrad(() => scope(() => assign(logitScale, clamp(logitScale, { min: 0, max: LOGIT_SCALE_LIMIT }))));
}
