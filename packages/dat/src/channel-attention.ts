import { Dropout, type Init, inference, type Linear, type Mode, Module, parameter } from "@deplsr/nn";
import {
  chunk,
  l2Normalize,
  matmul,
  mul,
  reshape,
  softmax,
  split,
  squeeze,
  type Tensor,
  transpose,
} from "@deplsr/tensor";
import type { DATConfig } from "./config.ts";
import { blend, ChannelInteraction, DepthwiseBranch, SpatialInteraction } from "./interaction.ts";
import { makeLinear, toChannels, toTokens } from "./linear.ts";
import type { Size } from "./window.ts";

/**
 * Adaptive channel attention: every channel of a head attends to the others over all positions, beside a convolution of
 * the values, and their interaction. Heads of size d.
 * @see https://arxiv.org/abs/2308.03364, figure 2, and XCiT, https://arxiv.org/abs/2106.09681
 */
export class ChannelAttention extends Module {
  /** (heads, 1, 1): what the cosines are multiplied by. */
  readonly temperature: Tensor;
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly dwconv: DepthwiseBranch;
  readonly channelInteraction: ChannelInteraction;
  readonly spatialInteraction: SpatialInteraction;
  readonly #attnDrop: Dropout;
  readonly #drop: Dropout;

  constructor(config: DATConfig, heads: number, init: Init) {
    super();
    const c = config.embedDim;
    this.temperature = parameter(init.device.ones([heads, 1, 1]));
    this.qkv = makeLinear(c, 3 * c, config.qkvBias, init);
    this.proj = makeLinear(c, c, true, init);
    this.dwconv = new DepthwiseBranch(c, init);
    this.channelInteraction = new ChannelInteraction(c, init);
    this.spatialInteraction = new SpatialInteraction(c, init);
    this.#attnDrop = new Dropout(config.attnDropRate);
    this.#drop = new Dropout(config.dropRate);
  }

  /** Tokens `(b, n, c)` of an image of `size` → the same shape. */
  forward(tokens: Tensor, size: Size, mode: Mode = inference): Tensor {
    const [b, n, c] = tokens.shape as [number, number, number];
    const heads = this.temperature.size;
    const qkv = reshape(toChannels(this.qkv, tokens), [b, 3, heads, c / heads, n]);
    const [both, values] = split(qkv, [2, 1], 1) as [Tensor, Tensor];
    const [q, k] = chunk(l2Normalize(both, { dim: -1 }), 2, 1).map((part) => squeeze(part, 1)) as [Tensor, Tensor];
    const v = squeeze(values, 1); // like q and k (b, heads, d, n)
    const cosines = matmul(q, transpose(k, -1, -2));
    const weights = softmax(mul(cosines, this.temperature), -1); // (b, heads, d, d)
    const attended = reshape(matmul(this.#attnDrop.forward(weights, mode), v), [b, c, n]);
    const convolved = this.dwconv.forward(reshape(v, [b, c, ...size]), mode); // (b, c, n)
    // The reverse of the spatial block: here the attention knows the channels and the convolution the positions.
    const channelMap = this.channelInteraction.forward(attended, mode); // (b, c, 1)
    const spatialMap = this.spatialInteraction.forward(convolved, size, mode); // (b, 1, n)
    const mixed = blend(attended, spatialMap, convolved, channelMap);
    return this.#drop.forward(toTokens(this.proj, mixed), mode);
  }
}
