import { Conv2d, type Init, LayerNorm, Module, normal, parameter } from "@deplsr/nn";
import { add, cat, expand, linear, matmul, permute, reshape, ShapeError, select, type Tensor } from "@deplsr/tensor";
import { type TokenStack, Transformer, type TransformerConfig, type TransformerOptions } from "./block.ts";
import type { CLIPConfig, VisionConfig } from "./config.ts";

/**
 * CLIP's image tower: a vision transformer over patches and a class token, `image (b, 3, s, s)` → features `(b, embedDim)`.
 *
 * @see https://arxiv.org/abs/2010.11929
 */
export class VisionTransformer<Stack extends TokenStack = Transformer> extends Module {
  /** (c) */
  readonly classEmbedding: Tensor;
  /** (1 + patches, c), the class token's row first */
  readonly positionalEmbedding: Tensor;
  /** (c, embedDim) */
  readonly proj: Tensor;
  readonly conv1: Conv2d;
  readonly lnPre: LayerNorm;
  readonly transformer: Stack;
  readonly lnPost: LayerNorm;
  readonly config: VisionConfig;

  private constructor(
    { vision, embedDim, quickGelu }: CLIPConfig,
    makeStack: (config: TransformerConfig, init: Init) => Stack,
    init: Init,
  ) {
    super();
    const { width, patchSize, imageSize } = vision;
    const std = width ** -0.5;
    this.classEmbedding = parameter(normal([width], std, init));
    this.positionalEmbedding = parameter(normal([(imageSize / patchSize) ** 2 + 1, width], std, init));
    this.proj = parameter(normal([width, embedDim], std, init));
    this.conv1 = new Conv2d(3, width, patchSize, { stride: patchSize, bias: false }, init);
    this.lnPre = new LayerNorm(width, {}, init);
    this.transformer = makeStack({ ...vision, heads: width / vision.headWidth, quickGelu }, init);
    this.lnPost = new LayerNorm(width, {}, init);
    this.config = vision;
  }

  /** The tower as published. */
  static make(config: CLIPConfig, init: Init): VisionTransformer {
    return new VisionTransformer(config, (sizes, at) => new Transformer(sizes, at), init);
  }

  /** The tower with another stack of blocks in the middle. */
  static withStack<Stack extends TokenStack>(
    config: CLIPConfig,
    makeStack: (config: TransformerConfig, init: Init) => Stack,
    init: Init,
  ): VisionTransformer<Stack> {
    return new VisionTransformer(config, makeStack, init);
  }

  /** Features before any normalisation: `(b, 3, s, s)` → `(b, embedDim)`. */
  forward(image: Tensor, options: TransformerOptions = {}): Tensor {
    return this.pool(this.transformer.forward(this.embed(image), options));
  }

  /** Image to the tokens that enter block 0: `(b, 3, s, s)` → `(b, 1 + patches, c)`. */
  embed(image: Tensor): Tensor {
    const { imageSize, width } = this.config;
    const [b = 0, channels, h, w] = image.shape;
    if (image.rank !== 4 || channels !== 3 || h !== imageSize || w !== imageSize) {
      throw new ShapeError(
        `VisionTransformer: image [${image.shape.join(", ")}] must be (b, 3, ${imageSize}, ${imageSize})`,
      );
    }
    const classToken = expand(reshape(this.classEmbedding, [1, 1, width]), [b, 1, width]);
    return this.lnPre.forward(add(cat([classToken, this.#patches(image, b)], 1), this.positionalEmbedding));
  }

  /** What `conv1` computes, `(b, patches, c)`: its windows do not overlap, so it is a linear layer over the patches. */
  #patches(image: Tensor, b: number): Tensor {
    const { imageSize, patchSize: p, width } = this.config;
    const side = imageSize / p;
    const cut = permute(reshape(image, [b, 3, side, p, side, p]), [0, 2, 4, 1, 3, 5]);
    const weight = reshape(this.conv1.weight, [width, 3 * p * p]);
    return linear(reshape(cut, [b, side * side, 3 * p * p]), weight);
  }

  /** The class token's last state to features: `(b, n, c)` → `(b, embedDim)`. */
  pool(x: Tensor): Tensor {
    return matmul(this.lnPost.forward(select(x, 1, 0)), this.proj);
  }

  /** Head-averaged attention map of each block, `(b, n, n)`; row 0 is what the class token looks at. */
  attentionMaps(image: Tensor, options: TransformerOptions = {}): Tensor[] {
    return this.transformer.attentionMaps(this.embed(image), options);
  }
}
