import { Conv2d, type Init, Linear } from "@deplsr/nn";
import { amax, amin, cat, relu, reshape, type Tensor } from "@deplsr/tensor";
import { checkImages, MetricNetwork } from "./network.ts";

/** Sizes of the network. */
export interface CNNIQAConfig {
  /** Side of the filters in pixels, which is the smallest side of an image. */
  readonly kernel: number;
  readonly filters: number;
  /** Widths of the two hidden layers. */
  readonly hidden: readonly [number, number];
}

/** The published sizes. */
export const CNNIQA_KONIQ: CNNIQAConfig = { kernel: 7, filters: 50, hidden: [800, 800] };

/**
 * A small convolutional network that scores a photograph without reference: about 0 … 1, higher is better.
 *
 * File: `CNNIQA_koniq10k-e6f14c91.pth` from https://huggingface.co/chaofengc/IQA-PyTorch-Weights, trained on KonIQ-10k; the tensors are
 * under `params`.
 *
 * @see Kang et al. 2014, "Convolutional neural networks for no-reference image quality assessment"
 */
export class CNNIQA extends MetricNetwork {
  readonly conv1: Conv2d;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly fc3: Linear;
  readonly config: CNNIQAConfig;

  constructor(config: CNNIQAConfig, init: Init) {
    super();
    const { kernel, filters, hidden } = config;
    this.conv1 = new Conv2d(3, filters, kernel, {}, init);
    this.fc1 = new Linear(2 * filters, hidden[0], {}, init);
    this.fc2 = new Linear(hidden[0], hidden[1], {}, init);
    this.fc3 = new Linear(hidden[1], 1, {}, init);
    this.config = config;
  }

  /** Scores `(b)` of images `(b, 3, h, w)`, RGB in [0, 1]. @throws RangeError for images smaller than a filter */
  forward(image: Tensor): Tensor {
    const hidden = relu(this.fc2.forward(relu(this.fc1.forward(this.extremes(image)))));
    return reshape(this.fc3.forward(hidden), [-1]);
  }

  /** Largest and then smallest answer of every filter: `(b, 2 · filters)`. */
  extremes(image: Tensor): Tensor {
    checkImages("CNNIQA", this.config.kernel, image);
    const answers = this.conv1.forward(image);
    return cat([amax(answers, { dim: [2, 3] }), amin(answers, { dim: [2, 3] })], 1);
  }
}
