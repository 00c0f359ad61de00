import { CLIP, type EncodeOptions } from "@deplsr/clip";
import { type FieldNames, type Init, Linear, Module } from "@deplsr/nn";
import { exp, relu, reshape, type Tensor } from "@deplsr/tensor";
import {
  encodeTextRows,
  type ImageFeatures,
  type ImageOptions,
  normalizedImageFeatures,
  type SrCLIPInput,
  type SrCLIPOptions,
  type SrCLIPOutput,
} from "./features.ts";
import { FINETUNE_NAMES } from "./keys.ts";
import type { SrCLIPV2Config } from "./srclip-config.ts";

/**
 * The alternative without an adaptor: a CLIP trained as a whole, with an MLP from the content features to those of the
 * degradation. Loads a CLIP file with the MLP's tensors missing. To be trained with SigLIP its CLIP needs `SIGLIP_START`.
 */
export class FinetuneCLIP extends Module {
  readonly clip: CLIP;
  readonly fineLinear: Linear;
  readonly fine1Linear: Linear;
  readonly fine2Linear: Linear;
  readonly fine3Linear: Linear;
  readonly outLinear: Linear;
  readonly config: SrCLIPV2Config;

  constructor(config: SrCLIPV2Config, init: Init) {
    super();
    const e = config.clip.embedDim;
    this.clip = new CLIP(config.clip, init);
    this.fineLinear = new Linear(e, 6 * e, {}, init);
    this.fine1Linear = new Linear(6 * e, 3 * e, {}, init);
    this.fine2Linear = new Linear(3 * e, 6 * e, {}, init);
    this.fine3Linear = new Linear(6 * e, e, {}, init);
    this.outLinear = new Linear(e, config.fineDegradations * e, {}, init);
    this.config = config;
  }

  override fieldNames(): FieldNames {
    return FINETUNE_NAMES;
  }

  /** Features of images `(b, 3, s, s)`; `control` is accepted and changes nothing. */
  encodeImage(image: Tensor, options: ImageOptions = {}): ImageFeatures {
    const content = this.clip.visual.forward(image, { checkpoint: options.checkpoint ?? false });
    const layers = [this.fineLinear, this.fine1Linear, this.fine2Linear];
    const hidden = layers.reduce((x, layer) => relu(layer.forward(x)), content);
    const degradation = this.fine3Linear.forward(hidden);
    const { fineDegradations, clip } = this.config;
    const fine = reshape(this.outLinear.forward(degradation), [image.shape[0]!, fineDegradations, clip.embedDim]);
    const features = { content, degradation, fine };
    return options.normalize ? normalizedImageFeatures(features) : features;
  }

  /** Features of token ids `(b, n) i32`. */
  encodeText(ids: Tensor, options: EncodeOptions = {}): Tensor {
    return this.clip.encodeText(ids, options);
  }

  /** As SrCLIPV2's; scale and bias of the logits are the CLIP's own. */
  forward({ image, ids }: SrCLIPInput, options: SrCLIPOptions = {}): SrCLIPOutput {
    return {
      image: image ? this.encodeImage(image, { ...options, normalize: true }) : null,
      text: ids ? encodeTextRows(this.clip, ids, 2 + this.config.fineDegradations, options) : null,
      logitScale: exp(this.clip.logitScale),
      logitBias: this.clip.logitBias,
    };
  }
}
