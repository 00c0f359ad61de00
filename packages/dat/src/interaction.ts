import {
  BatchNorm2d,
  Conv2d,
  type FieldNames,
  type Init,
  inference,
  type Mode,
  Module,
  type SyncBatchNorm,
} from "@deplsr/nn";
import { E, gelu, mean, pointwise, reshape, type Tensor } from "@deplsr/tensor";
import { CHANNEL_INTERACTION_NAMES, DEPTHWISE_NAMES, SPATIAL_INTERACTION_NAMES } from "./keys.ts";
import { mixChannels } from "./linear.ts";
import type { Size } from "./window.ts";

/**
 * Adaptive interaction: the attention branch and the convolution branch of a block weigh each other, one by a map over
 * channels and one by a map over positions. Features are channels (b, c, n), n = h·w.
 * @see https://arxiv.org/abs/2308.03364, section 3.2
 */

/** Depthwise 3×3 convolution, batch normalisation, GELU: the convolution branch, `(b, c, h, w)` → `(b, c, n)`. */
export class DepthwiseBranch extends Module {
  readonly convolution: Conv2d;
  readonly norm: BatchNorm2d | SyncBatchNorm;

  constructor(channels: number, init: Init) {
    super();
    this.convolution = new Conv2d(channels, channels, 3, { padding: 1, groups: channels }, init);
    this.norm = new BatchNorm2d(channels, {}, init);
  }

  override fieldNames(): FieldNames {
    return DEPTHWISE_NAMES;
  }

  forward(image: Tensor, mode: Mode = inference): Tensor {
    const [b, c, h, w] = image.shape as [number, number, number, number];
    return reshape(gelu(this.norm.forward(this.convolution.forward(image), mode)), [b, c, h * w]);
  }
}

/** Weights of the channels from their means: channels `(b, c, n)` → logits `(b, c, 1)`. */
export class ChannelInteraction extends Module {
  readonly reduce: Conv2d;
  readonly norm: BatchNorm2d | SyncBatchNorm;
  readonly expand: Conv2d;

  constructor(channels: number, init: Init) {
    super();
    const narrow = Math.floor(channels / 8);
    this.reduce = new Conv2d(channels, narrow, 1, {}, init);
    this.norm = new BatchNorm2d(narrow, {}, init);
    this.expand = new Conv2d(narrow, channels, 1, {}, init);
  }

  override fieldNames(): FieldNames {
    return CHANNEL_INTERACTION_NAMES;
  }

  forward(x: Tensor, mode: Mode = inference): Tensor {
    const pooled = mean(x, { dim: 2, keepDim: true });
    return mixChannels(this.expand, normalised(this.norm, mixChannels(this.reduce, pooled), [1, 1], mode));
  }
}

/** Weights of the positions: channels `(b, c, n)` → logits `(b, 1, n)`. */
export class SpatialInteraction extends Module {
  readonly reduce: Conv2d;
  readonly norm: BatchNorm2d | SyncBatchNorm;
  readonly expand: Conv2d;

  constructor(channels: number, init: Init) {
    super();
    const narrow = Math.floor(channels / 16);
    this.reduce = new Conv2d(channels, narrow, 1, {}, init);
    this.norm = new BatchNorm2d(narrow, {}, init);
    this.expand = new Conv2d(narrow, 1, 1, {}, init);
  }

  override fieldNames(): FieldNames {
    return SPATIAL_INTERACTION_NAMES;
  }

  forward(x: Tensor, size: Size, mode: Mode = inference): Tensor {
    return mixChannels(this.expand, normalised(this.norm, mixChannels(this.reduce, x), size, mode));
  }
}

function normalised(norm: BatchNorm2d | SyncBatchNorm, x: Tensor, [h, w]: Size, mode: Mode): Tensor {
  const [b, c, n] = x.shape as [number, number, number];
  return reshape(gelu(norm.forward(reshape(x, [b, c, h, w]), mode)), [b, c, n]);
}

/** `a·σ(weightOfA) + b·σ(weightOfB)`, broadcasting, in one pass: the two branches meet. */
export const blend: (a: Tensor, weightOfA: Tensor, b: Tensor, weightOfB: Tensor) => Tensor = pointwise(
  "blend",
  (a, weightOfA, b, weightOfB) => E.add(E.mul(a, E.sigmoid(weightOfA)), E.mul(b, E.sigmoid(weightOfB))),
);
