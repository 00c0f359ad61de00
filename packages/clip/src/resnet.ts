import { BatchNorm2d, Conv2d, type Init, Linear, Module, normal, parameter, replaced, Sequential } from "@deplsr/nn";
import {
  add,
  attention,
  avgPool2d,
  cat,
  flatten,
  interpolate,
  mean,
  narrow,
  permute,
  relu,
  reshape,
  ShapeError,
  type Tensor,
  transient,
} from "@deplsr/tensor";

/** Sizes of CLIP's convolutional image tower. */
export interface ResNetConfig {
  /** Side in pixels of the images that the positional embedding was trained for. */
  readonly imageSize: number;
  /** Channels of the stem; the last layer has 32 times as many. */
  readonly width: number;
  /** Blocks of the four layers. */
  readonly layers: readonly [number, number, number, number];
}

/** Channels of a block's result over those inside it. */
const EXPANSION = 4;

/** The stem halves the image twice, and so do three of the layers. */
const REDUCTION = 32;

/** Smallest side of an image in pixels. */
const SMALLEST = REDUCTION - 1;

/** Narrow, filter, widen on a residual branch; a stride is an average pooling in front of the last convolution. */
class Bottleneck extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: Sequential | null;
  readonly stride: number;

  constructor(input: number, planes: number, stride: number, init: Init) {
    super();
    const output = planes * EXPANSION;
    this.conv1 = new Conv2d(input, planes, 1, { bias: false }, init);
    this.bn1 = new BatchNorm2d(planes, {}, init);
    this.conv2 = new Conv2d(planes, planes, 3, { padding: 1, bias: false }, init);
    this.bn2 = new BatchNorm2d(planes, {}, init);
    this.conv3 = new Conv2d(planes, output, 1, { bias: false }, init);
    this.bn3 = new BatchNorm2d(output, {}, init);
    this.downsample =
      stride === 1 && input === output
        ? null
        : new Sequential(new Conv2d(input, output, 1, { bias: false }, init), new BatchNorm2d(output, {}, init));
    this.stride = stride;
  }

  forward(x: Tensor): Tensor {
    const shrink = (map: Tensor): Tensor => (this.stride === 1 ? map : avgPool2d(map, { kernel: this.stride }));
    const narrowed = relu(this.bn1.forward(this.conv1.forward(x)));
    const filtered = relu(this.bn2.forward(this.conv2.forward(narrowed)));
    const y = this.bn3.forward(this.conv3.forward(shrink(filtered)));
    return relu(add(y, this.downsample ? this.downsample.forward(shrink(x)) : x));
  }
}

/** Attention of the mean pixel to all pixels: `(b, c, h, w)` → features `(b, embedDim)`. */
class AttentionPool extends Module {
  /** (1 + grid², c), the mean's row first */
  readonly positionalEmbedding: Tensor;
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly cProj: Linear;
  readonly heads: number;

  constructor(grid: number, width: number, heads: number, embedDim: number, init: Init) {
    super();
    this.positionalEmbedding = parameter(normal([1 + grid ** 2, width], width ** -0.5, init));
    this.qProj = new Linear(width, width, {}, init);
    this.kProj = new Linear(width, width, {}, init);
    this.vProj = new Linear(width, width, {}, init);
    this.cProj = new Linear(width, embedDim, {}, init);
    this.heads = heads;
  }

  forward(x: Tensor, positions: boolean): Tensor {
    const [b = 0, c = 0] = x.shape;
    const pixels = permute(flatten(x, 2), [0, 2, 1]); // (b, n, c)
    const bare = cat([mean(pixels, { dim: 1, keepDim: true }), pixels], 1);
    const tokens = positions ? add(bare, this.positionsFor(bare.shape[1]!)) : bare;
    const perHead = (part: Tensor): Tensor => permute(reshape(part, [b, -1, this.heads, c / this.heads]), [0, 2, 1, 3]); // (b, heads, n, d)
    const query = perHead(this.qProj.forward(narrow(tokens, 1, 0, 1)));
    const pooled = attention(query, perHead(this.kProj.forward(tokens)), perHead(this.vProj.forward(tokens)));
    return this.cProj.forward(reshape(pooled, [b, c]));
  }

  /** The embedding for another number of tokens: resized as an image of one channel, which blends the mean's row with its neighbours. */
  private positionsFor(tokens: number): Tensor {
    const [rows, c] = this.positionalEmbedding.shape as [number, number];
    if (rows === tokens) return this.positionalEmbedding;
    const image = reshape(this.positionalEmbedding, [1, 1, rows, c]);
    return reshape(interpolate(image, { mode: "bicubic", size: [tokens, c] }), [tokens, c]);
  }
}

/** How an image becomes features. */
export interface ResNetOptions {
  /** Adds the positional embedding, resized where the image has another size than it was trained for. Default true. */
  readonly positions?: boolean;
}

/**
 * CLIP's convolutional image tower: a ResNet with three convolutions in its stem, average poolings for strides, and attention in place of
 * the last pooling. Images `(b, 3, h, w)` of any size → features `(b, embedDim)`.
 *
 * @see https://arxiv.org/abs/2103.00020 section 2.4
 */
export class ModifiedResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly layer1: readonly Bottleneck[];
  readonly layer2: readonly Bottleneck[];
  readonly layer3: readonly Bottleneck[];
  readonly layer4: readonly Bottleneck[];
  readonly attnpool: AttentionPool;

  constructor({ imageSize, width, layers }: ResNetConfig, embedDim: number, init: Init) {
    super();
    const half = Math.floor(width / 2);
    this.conv1 = new Conv2d(3, half, 3, { stride: 2, padding: 1, bias: false }, init);
    this.bn1 = new BatchNorm2d(half, {}, init);
    this.conv2 = new Conv2d(half, half, 3, { padding: 1, bias: false }, init);
    this.bn2 = new BatchNorm2d(half, {}, init);
    this.conv3 = new Conv2d(half, width, 3, { padding: 1, bias: false }, init);
    this.bn3 = new BatchNorm2d(width, {}, init);
    const layer = (index: number): Bottleneck[] => {
      const planes = width * 2 ** index;
      const before = index === 0 ? width : (planes / 2) * EXPANSION;
      return Array.from({ length: layers[index]! }, (_, block) =>
        block === 0
          ? new Bottleneck(before, planes, index === 0 ? 1 : 2, init)
          : new Bottleneck(planes * EXPANSION, planes, 1, init),
      );
    };
    this.layer1 = layer(0);
    this.layer2 = layer(1);
    this.layer3 = layer(2);
    this.layer4 = layer(3);
    const last = width * REDUCTION;
    this.attnpool = new AttentionPool(Math.floor(imageSize / REDUCTION), last, last / 64, embedDim, init);
  }

  /** Features before any normalisation. @throws ShapeError for images with a side below 31 */
  forward(image: Tensor, { positions = true }: ResNetOptions = {}): Tensor {
    const blocks = [this.layer1, this.layer2, this.layer3, this.layer4].flat();
    const start = transient(() => this.stem(image));
    const map = blocks.reduce(
      (x, block) =>
        replaced(
          x,
          transient(() => block.forward(x)),
        ),
      start,
    );
    return this.attnpool.forward(map, positions);
  }

  /** What enters the first layer: `(b, 3, h, w)` → `(b, width, ⌊⌈h/2⌉/2⌋, …)`. */
  stem(image: Tensor): Tensor {
    const [, channels, height = 0, width = 0] = image.shape;
    if (image.rank !== 4 || channels !== 3 || Math.min(height, width) < SMALLEST) {
      throw new ShapeError(
        `ModifiedResNet: image [${image.shape.join(", ")}] must be (b, 3, h, w) with sides of at least ${SMALLEST}`,
      );
    }
    const first = relu(this.bn1.forward(this.conv1.forward(image)));
    const second = relu(this.bn2.forward(this.conv2.forward(first)));
    return avgPool2d(relu(this.bn3.forward(this.conv3.forward(second))), { kernel: 2 });
  }
}
