import { DropPath, type Init, inference, LayerNorm, type Mode, Module } from "@deplsr/nn";
import { add, type Tensor, transient } from "@deplsr/tensor";
import { ChannelAttention } from "./channel-attention.ts";
import { type DATConfig, isShifted } from "./config.ts";
import { SpatialGateFeedForward } from "./ffn.ts";
import { SpatialAttention } from "./spatial-attention.ts";
import type { Size } from "./window.ts";
import type { WindowTables } from "./window-tables.ts";

/** Where a block stands, and how often it is left out in training. */
export interface BlockPlace {
  readonly group: number;
  readonly block: number;
  readonly dropPath: number;
}

/** Dual aggregation transformer block: spatial attention at even places, channel attention at odd ones, then feed-forward. */
export class DATBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: SpatialAttention | ChannelAttention;
  readonly ffn: SpatialGateFeedForward;
  readonly norm2: LayerNorm;
  readonly #dropPath: DropPath;

  constructor(config: DATConfig, place: BlockPlace, tables: WindowTables, init: Init) {
    super();
    const { embedDim, layerNormEps: eps } = config;
    const heads = config.numHeads[place.group]!;
    this.norm1 = new LayerNorm(embedDim, { eps }, init);
    this.attn =
      place.block % 2 === 0
        ? new SpatialAttention(config, heads, isShifted(place.group, place.block), tables, init)
        : new ChannelAttention(config, heads, init);
    this.ffn = new SpatialGateFeedForward(config, init);
    this.norm2 = new LayerNorm(embedDim, { eps }, init);
    this.#dropPath = new DropPath(place.dropPath);
  }

  /** Tokens `(b, n, c)` of an image of `size` → the same shape. */
  forward(tokens: Tensor, size: Size, mode: Mode = inference): Tensor {
    const x = transient(() => {
      const attended = this.attn.forward(this.norm1.forward(tokens), size, mode);
      return add(tokens, this.#dropPath.forward(attended, mode));
    });
    const fed = this.ffn.forward(this.norm2.forward(x), size, mode);
    return add(x, this.#dropPath.forward(fed, mode));
  }
}
