import {
  Conv2d,
  Dropout,
  type FieldNames,
  type Init,
  inference,
  LayerNorm,
  type Linear,
  type Mode,
  Module,
} from "@deplsr/nn";
import { chunk, gelu, mul, permute, reshape, type Tensor } from "@deplsr/tensor";
import { type DATConfig, hiddenWidth } from "./config.ts";
import { GATE_NAMES } from "./keys.ts";
import { makeLinear } from "./linear.ts";
import type { Size } from "./window.ts";

/** The gate's own part: half of the features, normalised and convolved over the image by a depthwise 3×3. */
class SpatialGate extends Module {
  readonly norm: LayerNorm;
  readonly convolution: Conv2d;

  constructor(channels: number, eps: number, init: Init) {
    super();
    this.norm = new LayerNorm(channels, { eps }, init);
    this.convolution = new Conv2d(channels, channels, 3, { padding: 1, groups: channels }, init);
  }

  override fieldNames(): FieldNames {
    return GATE_NAMES;
  }

  /** Tokens `(b, n, c)` → tokens of the same shape. */
  forward(tokens: Tensor, [h, w]: Size): Tensor {
    const [b, n, c] = tokens.shape as [number, number, number];
    const image = reshape(permute(this.norm.forward(tokens), [0, 2, 1]), [b, c, h, w]);
    return permute(reshape(this.convolution.forward(image), [b, c, n]), [0, 2, 1]);
  }
}

/**
 * Spatial-gate feed-forward network: one half of the hidden features multiplies the other.
 * @see https://arxiv.org/abs/2308.03364, section 3.3
 */
export class SpatialGateFeedForward extends Module {
  readonly fc1: Linear;
  readonly sg: SpatialGate;
  readonly fc2: Linear;
  readonly #drop: Dropout;

  constructor(config: DATConfig, init: Init) {
    super();
    const hidden = hiddenWidth(config);
    this.fc1 = makeLinear(config.embedDim, hidden, true, init);
    this.sg = new SpatialGate(hidden / 2, config.layerNormEps, init);
    this.fc2 = makeLinear(hidden / 2, config.embedDim, true, init);
    this.#drop = new Dropout(config.dropRate);
  }

  /** Tokens `(b, n, c)` of an image of `size` → the same shape. */
  forward(tokens: Tensor, size: Size, mode: Mode = inference): Tensor {
    const hidden = this.#drop.forward(gelu(this.fc1.forward(tokens)), mode); // (b, n, 2·half)
    const [kept, gate] = chunk(hidden, 2, 2) as [Tensor, Tensor]; // (b, n, half)
    const gated = this.#drop.forward(mul(kept, this.sg.forward(gate, size)), mode);
    return this.#drop.forward(this.fc2.forward(gated), mode);
  }
}
