import { makeLinear } from "@deplsr/dat";
import { Dropout, type Init, inference, LayerNorm, type Linear, type Mode, Module } from "@deplsr/nn";
import { add, gelu, mean, type Tensor } from "@deplsr/tensor";
import { CrossAttentionFusion, type CrossAttentionOptions, type Fused } from "./cross-attention.ts";

/** How a fusion block is built. Defaults: ratios 1, `eps` 1e-5. */
export interface FusionOptions extends CrossAttentionOptions {
  /** Width of the queries and keys as a multiple of the block's. */
  readonly attnRatio?: number;
  /** Hidden width of the MLP as a multiple of the block's. */
  readonly mlpRatio?: number;
  readonly layerNormEps?: number;
}

/** Where a fusion block looks: softmax maps averaged over the heads, for n positions of the image. */
export interface FusionMaps {
  /** How strongly each position attends to each pair of a content and a degradation feature, content slowest: (b, n, ni·nd); rows sum to 1. */
  readonly image: Tensor;
  /** How strongly each content feature attends to each position: (b, ni, n); rows sum to 1. */
  readonly content: Tensor;
  /** The same of each degradation feature: (b, nd, n). */
  readonly degradation: Tensor;
}

/** Two linear layers with a GELU between them. */
class FusionMlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly #drop: Dropout;

  constructor(dim: number, hidden: number, dropRate: number, init: Init) {
    super();
    this.fc1 = makeLinear(dim, hidden, true, init);
    this.fc2 = makeLinear(hidden, dim, true, init);
    this.#drop = new Dropout(dropRate);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    const hidden = this.#drop.forward(gelu(this.fc1.forward(x)), mode);
    return this.#drop.forward(this.fc2.forward(hidden), mode);
  }
}

/**
 * Cross-modal fusion block: what is known about an image's content and degradation enters its features.
 * `FusionBlock` of the reference.
 */
export class FusionBlock extends Module {
  readonly norm1X: LayerNorm;
  readonly norm1Xd: LayerNorm;
  readonly norm1Xi: LayerNorm;
  readonly attn: CrossAttentionFusion;
  readonly norm2: LayerNorm;
  readonly mlp: FusionMlp;

  /** @throws Error when the widths do not divide into the heads */
  constructor(dim: number, options: FusionOptions, init: Init) {
    super();
    const { attnRatio = 1, mlpRatio = 1, layerNormEps: eps = 1e-5, dropRate = 0 } = options;
    this.norm1X = new LayerNorm(dim, { eps }, init);
    this.norm1Xd = new LayerNorm(dim, { eps }, init);
    this.norm1Xi = new LayerNorm(dim, { eps }, init);
    this.attn = new CrossAttentionFusion(dim, { ...options, dimRatio: attnRatio }, init);
    this.norm2 = new LayerNorm(dim, { eps }, init);
    this.mlp = new FusionMlp(dim, Math.trunc(dim * mlpRatio), dropRate, init);
  }

  /**
   * Tokens `x (b, n, c)`, content `xi (b, ni, c)`, degradation `xd (b, nd, c)` → the same shapes. The residual starts from
   * the normalised tokens, and the conditions are replaced by what they attended to.
   * @param onMaps shown where the block looks; made for it alone
   */
  forward(
    x: Tensor,
    xi: Tensor,
    xd: Tensor,
    mode: Mode = inference,
    onMaps?: (maps: FusionMaps) => void,
  ): Pick<Fused, "x" | "xi" | "xd"> {
    const tokens = this.norm1X.forward(x);
    const fused = this.attn.forward(tokens, this.norm1Xi.forward(xi), this.norm1Xd.forward(xd), mode);
    onMaps?.({
      image: mean(fused.attn, { dim: 1 }),
      content: mean(fused.attnI, { dim: 1 }),
      degradation: mean(fused.attnD, { dim: 1 }),
    });
    const mixed = add(tokens, fused.x);
    return { x: add(mixed, this.mlp.forward(this.norm2.forward(mixed), mode)), xi: fused.xi, xd: fused.xd };
  }
}
