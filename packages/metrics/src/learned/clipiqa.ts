import {
  div,
  exp,
  keep,
  l2Normalize,
  matmul,
  mean,
  mul,
  noGrad,
  reshape,
  scope,
  select,
  softmax,
  sub,
  type Tensor,
  transpose,
} from "@deplsr/tensor";
import { checkImages } from "./network.ts";

/** The pairs that an image is held against, a good word and its opposite each. */
export const CLIPIQA_PROMPTS: readonly string[] = [
  "Good image",
  "bad image",
  "Sharp image",
  "blurry image",
  "sharp edges",
  "blurry edges",
  "High resolution image",
  "low resolution image",
  "Noise-free image",
  "noisy image",
];

/** Mean and deviation of the colours that CLIP was trained on. */
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

/** Smallest side of an image: the image tower would leave no pixel. */
const SMALLEST = 31;

/** What is needed of a CLIP with a convolutional image tower; `ResNetCLIP` of `@deplsr/clip` is one. */
export interface ImageTextModel {
  /** Scalar: the logarithm of the factor on the logits. */
  readonly logitScale: Tensor;
  /** Normalised images `(b, 3, h, w)` of any size → features `(b, e)`. */
  encodeImage(image: Tensor, options: PositionOptions): Tensor;
  /** Token ids `(n, context) i32` → features `(n, e)`. */
  encodeText(ids: Tensor): Tensor;
}

/** How the image tower looks at an image. */
export interface PositionOptions {
  /** Adds the positional embedding in the tower's last layer; scores are published without. */
  readonly positions: boolean;
}

/** What CLIP-IQA finds out about images. */
export interface CLIPIQAResult {
  /** `(b, 10)`: likeness to every prompt. */
  readonly logits: Tensor;
  /** `(b, 5)`: how much more the good word of each pair fits, 0 … 1. */
  readonly probabilities: Tensor;
  /** `(b)` */
  readonly score: Tensor;
}

/**
 * CLIP-IQA: how much more a photograph resembles "Good image" than "bad image", and so on for five pairs; 0 … 1, higher is better, without
 * reference and in its own size.
 *
 * The model is CLIP's RN50, file `RN50.pt` of https://github.com/openai/CLIP, a TorchScript archive.
 *
 * @see https://arxiv.org/abs/2207.12396
 */
export class CLIPIQA {
  readonly model: ImageTextModel;
  /** `(10, e)`, of length 1 */
  readonly textFeatures: Tensor;
  private readonly mean: Tensor;
  private readonly std: Tensor;

  /** @param ids the tokens of `CLIPIQA_PROMPTS`, `(10, context) i32`, on the model's device */
  constructor(model: ImageTextModel, ids: Tensor) {
    this.model = model;
    this.textFeatures = keep(noGrad(() => scope(() => l2Normalize(model.encodeText(ids)))));
    this.mean = keep(ids.device.tensor(MEAN, [1, 3, 1, 1]));
    this.std = keep(ids.device.tensor(STD, [1, 3, 1, 1]));
  }

  /** Scores `(b)` of images `(b, 3, h, w)`, RGB in [0, 1]. @throws RangeError for images with a side below 31 */
  forward(image: Tensor): Tensor {
    return this.judge(this.model.encodeImage(this.normalize(image), { positions: false })).score;
  }

  /** Compares image features `(b, e)` with the prompts. */
  judge(features: Tensor): CLIPIQAResult {
    const cosines = matmul(l2Normalize(features), transpose(this.textFeatures, 0, 1));
    const logits = mul(cosines, exp(this.model.logitScale));
    const pairs = softmax(reshape(logits, [logits.shape[0]!, -1, 2]), -1);
    const probabilities = select(pairs, 2, 0);
    return { logits, probabilities, score: mean(probabilities, { dim: 1 }) };
  }

  /** Colours as CLIP expects them: `(b, 3, h, w)`, shape kept. */
  normalize(image: Tensor): Tensor {
    checkImages("CLIPIQA", SMALLEST, image);
    return div(sub(image, this.mean), this.std);
  }

  /** Gives back the prompts' features; the model is its owner's. */
  dispose(): void {
    for (const tensor of [this.textFeatures, this.mean, this.std]) tensor.dispose();
  }
}
