import { CLIP, type EncodeOptions } from "@deplsr/clip";
import { type Init, Linear, Module, parameter } from "@deplsr/nn";
import { assign, exp, noGrad, reshape, scope, type Tensor } from "@deplsr/tensor";
import {
  type AdaptorStart,
  controlledBy,
  copyTower,
  type DegradationAdaptor,
  degradationAdaptor,
  runAdaptor,
} from "./adaptor.ts";
import {
  encodeTextRows,
  type ImageFeatures,
  type ImageOptions,
  normalizedImageFeatures,
  type SrCLIPInput,
  type SrCLIPOptions,
  type SrCLIPOutput,
  type TextFeatures,
} from "./features.ts";
import { logitStart, type SrCLIPConfig, type SrCLIPV2Config } from "./srclip-config.ts";

/**
 * A frozen CLIP and a trained degradation adaptor: the adaptor's features tell how an image is degraded, and through its taps
 * it keeps the degradation out of the CLIP's features of the content.
 *
 * @see https://arxiv.org/abs/2310.01018 (DA-CLIP), which this is equal to up to names
 */
export class SrCLIP extends Module {
  /** Scalar: the logarithm of the factor on the logits, trained in place of the CLIP's own. */
  readonly logitScale: Tensor;
  /** Scalar added to the logits, with the SigLIP loss. */
  readonly logitBias: Tensor | null;
  readonly clip: CLIP;
  readonly visualControl: DegradationAdaptor;
  readonly config: SrCLIPConfig;

  constructor(config: SrCLIPConfig, init: Init) {
    super();
    const { bias } = logitStart(config.loss);
    this.logitScale = parameter(init.device.full([], config.clip.logitScaleStart));
    this.logitBias = bias === null ? null : parameter(init.device.full([], bias));
    this.clip = new CLIP({ ...config.clip, logitBiasStart: null }, init);
    this.visualControl = degradationAdaptor(config.clip, init);
    this.config = config;
    this.startController();
  }

  /** Texts that belong to an image. */
  get textRows(): number {
    return 2;
  }

  /**
   * Starts the adaptor from the CLIP's image tower, and logit scale and bias as the loss wants them; to be called after the
   * CLIP's weights were loaded.
   */
  startController(start: AdaptorStart = "clean"): void {
    copyTower(this.clip.visual, this.visualControl, start);
    const { scale, bias } = logitStart(this.config.loss);
    noGrad(() =>
      scope(() => {
        const { device } = this.logitScale;
        assign(this.logitScale, scale === null ? this.clip.logitScale : device.full([], scale));
        if (this.logitBias && bias !== null) assign(this.logitBias, device.full([], bias));
      }),
    );
  }

  /** Freezes the CLIP: towers and logit scale. What is left is the adaptor, the heads, and the model's own scalars. */
  lockCLIP(): void {
    this.clip.freeze();
  }

  /** Features of images `(b, 3, s, s)`. */
  encodeImage(image: Tensor, options: ImageOptions = {}): ImageFeatures {
    if (options.control === false) {
      return { content: this.clip.encodeImage(image, options), degradation: null, fine: null };
    }
    const { checkpoint = false } = options;
    const { degradation, taps } = runAdaptor(this.visualControl, image, { checkpoint });
    const content = this.clip.visual.forward(image, { ...controlledBy(taps), checkpoint });
    const features = { content, degradation, fine: this.fineFeatures(degradation) };
    return options.normalize ? normalizedImageFeatures(features) : features;
  }

  /** Features of token ids `(b, n) i32`. */
  encodeText(ids: Tensor, options: EncodeOptions = {}): Tensor {
    return this.clip.encodeText(ids, options);
  }

  /** Features of length 1 of the texts of b images, from ids on the host; see `SrCLIPInput`. */
  encodeTexts(ids: Int32Array, options: SrCLIPOptions = {}): TextFeatures {
    return encodeTextRows(this.clip, ids, this.textRows, options);
  }

  forward({ image, ids }: SrCLIPInput, options: SrCLIPOptions = {}): SrCLIPOutput {
    return {
      image: image ? this.encodeImage(image, { ...options, normalize: true }) : null,
      text: ids ? this.encodeTexts(ids, options) : null,
      logitScale: exp(this.logitScale),
      logitBias: this.logitBias,
    };
  }

  /** Features of single degradations from those of the whole; the first version has none. */
  protected fineFeatures(_degradation: Tensor): Tensor | null {
    return null;
  }
}

/** SrCLIP with a head that reads each kind of degradation off the degradation features. */
export class SrCLIPV2 extends SrCLIP {
  /** (kinds · embedDim, embedDim) */
  readonly outLinear: Linear;
  override readonly config: SrCLIPV2Config;

  constructor(config: SrCLIPV2Config, init: Init) {
    super(config, init);
    const { embedDim } = config.clip;
    this.outLinear = new Linear(embedDim, config.fineDegradations * embedDim, {}, init);
    this.config = config;
  }

  override get textRows(): number {
    return 2 + this.config.fineDegradations;
  }

  protected override fineFeatures(degradation: Tensor): Tensor {
    const { fineDegradations, clip } = this.config;
    return reshape(this.outLinear.forward(degradation), [degradation.shape[0]!, fineDegradations, clip.embedDim]);
  }
}
